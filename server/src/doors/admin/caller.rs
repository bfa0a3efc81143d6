//! Who may administer: `X-Admin-Secret`, or the token of an owner or admin.

use crate::auth::Operator;
use crate::doors::messenger::caller::{bearer, header};
use crate::error::ApiError;
use crate::limits::ClientAddress;
use crate::node::Node;
use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use protocol::ErrorCode;

/// A checked operator.
#[derive(Debug, Clone)]
pub(super) struct By(pub(super) Operator);

impl FromRequest for By {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let node = request.app_data::<Data<Node>>().cloned();
        let headers = request.headers().clone();
        let address = ClientAddress::from_request(request, payload);
        Box::pin(async move {
            let node = node.ok_or_else(|| ApiError::new(ErrorCode::Internal))?;
            let secret = header(&headers, "x-admin-secret");
            let operator = node
                .auth
                .operator(secret, bearer(&headers), address.await?.ip);
            Ok(Self(operator.await?))
        })
    }
}
