use super::*;
use ErrorCode::{InvalidJson, InvalidRequest};
use actix_web::test::{TestRequest, call_and_read_body_json, call_service, init_service};
use actix_web::{App, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

#[derive(Debug, Deserialize, Serialize)]
struct Dto {
    name: String,
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default)]
    ack: bool,
    #[serde(default)]
    role: Option<Role>,
    #[serde(default)]
    metadata: Option<Box<RawValue>>,
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(default, alias = "nick")]
    alias: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    Owner,
    Member,
}

fn body(content_type: Option<&str>, bytes: &[u8]) -> Result<Dto, ApiError> {
    let mut headers = HeaderMap::new();
    if let Some(value) = content_type {
        headers.insert(CONTENT_TYPE, value.parse().unwrap());
    }
    read_body(Syntax::of(&headers)?, bytes)
}

fn json_of(result: Result<Dto, ApiError>) -> Json {
    serde_json::to_value(result.unwrap()).unwrap()
}

fn refused(result: Result<Dto, ApiError>) -> (ErrorCode, String) {
    let error = result.unwrap_err();
    (error.code(), error.refusal().sentence.to_string())
}

const JSON: Option<&str> = Some("application/json");
const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

#[test]
fn json_and_forms_read_the_same() {
    let expected = json!({
        "name": "Ada L", "limit": 5, "ack": true, "role": "owner", "metadata": {"b": 1, "a": 2}, "tags": ["x"], "alias": "al"
    });
    let written = [
        (
            JSON,
            r#"{"name":"Ada L","limit":5,"ack":true,"role":"owner","metadata":{"b":1,"a":2},"tags":["x"],"alias":"al"}"#,
        ),
        (
            JSON,
            r#"{"name":"Ada L","limit":"5","ack":"true","role":"owner","metadata":{"b":1,"a":2},"tags":["x"],"nick":"al"}"#,
        ),
        (
            JSON,
            r#"{"name":"Ada L","limit":"5","ack":1,"role":"owner","metadata":{"b":1,"a":2},"tags":["x"],"alias":"al"}"#,
        ),
        (
            FORM,
            r#"name=Ada+L&limit=5&ack=true&role=owner&metadata={"b":1,"a":2}&tags=["x"]&alias=al"#,
        ),
        (
            FORM,
            "name=Ada%20L&limit=5&ack=1&role=owner&metadata=%7B%22b%22%3A1%2C%22a%22%3A2%7D&tags=[%22x%22]&nick=al",
        ),
    ];
    for (content_type, text) in written {
        assert_eq!(
            json_of(body(content_type, text.as_bytes())),
            expected,
            "{text}"
        );
    }
}

#[test]
fn the_content_type_decides_and_curl_is_forgiven() {
    let json = br#" {"name":"a"}"#;
    for content_type in [
        None,
        JSON,
        FORM,
        Some("application/json; charset=utf-8"),
        Some("Application/JSON"),
    ] {
        assert_eq!(
            body(content_type, json).unwrap().name,
            "a",
            "{content_type:?}"
        );
    }
    assert_eq!(body(None, b"name=a").unwrap().name, "a");
    for content_type in [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "x",
    ] {
        assert_eq!(
            refused(body(Some(content_type), json)).0,
            ErrorCode::UnsupportedMediaType
        );
    }
}

/// A body, its code, its sentence.
type Case = (&'static str, ErrorCode, &'static str);

const BAD_JSON: &[Case] = &[
    (
        "{",
        InvalidJson,
        "the body is not valid JSON (line 1, column 1)",
    ),
    (
        r#"{"name":"a"} x"#,
        InvalidJson,
        "the body is not valid JSON (line 1, column 14)",
    ),
    (
        "{\"name\":\"a\0\"}",
        InvalidJson,
        "the body is not valid JSON (line 1, column 10)",
    ),
    ("[1]", InvalidRequest, "the body must be a JSON object"),
    ("7", InvalidRequest, "the body must be a JSON object"),
    ("", InvalidRequest, "name is required"),
    ("{}", InvalidRequest, "name is required"),
    (
        r#"{"name":5}"#,
        InvalidRequest,
        "name must be text, not a number",
    ),
    (
        r#"{"name":null}"#,
        InvalidRequest,
        "name must be text, not null",
    ),
    (
        r#"{"name":{"x":"hunter2"}}"#,
        InvalidRequest,
        "name must be text, not an object",
    ),
    (
        r#"{"name":"a","name":"b"}"#,
        InvalidRequest,
        "name is given twice",
    ),
    (
        r#"{"name":"a","x":1,"x":1}"#,
        InvalidRequest,
        "x is given twice",
    ),
    (
        r#"{"name":"a","alias":"b","nick":"c"}"#,
        InvalidRequest,
        "alias is given twice (it has two names)",
    ),
    (
        r#"{"name":"a\u0000"}"#,
        InvalidRequest,
        "name holds a NUL character",
    ),
    (
        r#"{"name":"a","metadata":{"k":["\u0000"]}}"#,
        InvalidRequest,
        "metadata holds a NUL character",
    ),
    (
        r#"{"name":"\ud800"}"#,
        InvalidRequest,
        "name holds an invalid escape",
    ),
    (
        r#"{"name":"a","limit":"hunter2"}"#,
        InvalidRequest,
        "limit must be a whole number, not text",
    ),
    (
        r#"{"name":"a","limit":1.5}"#,
        InvalidRequest,
        "limit must be a whole number, not a fraction or out of range",
    ),
    (
        r#"{"name":"a","limit":-1}"#,
        InvalidRequest,
        "limit must be a whole number, 0 or more",
    ),
    (
        r#"{"name":"a","limit":4294967296}"#,
        InvalidRequest,
        "limit must be a whole number, 0 or more",
    ),
    (
        r#"{"name":"a","ack":"hunter2"}"#,
        InvalidRequest,
        "ack must be true or false, not text",
    ),
    (
        r#"{"name":"a","role":"hunter2"}"#,
        InvalidRequest,
        "role must be one of owner, member",
    ),
    (
        r#"{"name":"a","tags":"hunter2"}"#,
        InvalidRequest,
        "tags is not valid or of the wrong type",
    ),
    (
        r#"{"name":"a","tags":[1]}"#,
        InvalidRequest,
        "tags is not valid or of the wrong type",
    ),
];

#[test]
fn bad_json_has_a_code_and_names_the_field_but_never_the_value() {
    for (text, code, sentence) in BAD_JSON {
        assert_eq!(
            refused(body(JSON, text.as_bytes())),
            (*code, (*sentence).to_owned()),
            "{text}"
        );
    }
}

#[test]
fn an_escaped_backslash_before_u0000_is_no_nul() {
    assert_eq!(
        body(JSON, br#"{"name":"a\\u0000"}"#).unwrap().name,
        "a\\u0000"
    );
}

#[test]
fn bad_forms_have_a_code_and_a_sentence() {
    let table: &[(&[u8], &str)] = &[
        (b"limit=5", "name is required"),
        (b"name=a&name=b", "name is given twice"),
        (
            b"name=a&limit=many",
            "limit must be a whole number, not text",
        ),
        (b"name=%ff", "name is not valid UTF-8"),
        (b"name=\xff", "name is not valid UTF-8"),
        (b"%ff=a", "a field name is not valid UTF-8"),
        (b"name=a%00b", "name holds a NUL character"),
        (
            b"name=a&metadata={",
            "metadata is not valid or of the wrong type",
        ),
    ];
    for (bytes, sentence) in table {
        assert_eq!(
            refused(body(FORM, bytes)),
            (ErrorCode::InvalidRequest, (*sentence).to_owned())
        );
    }
}

#[test]
fn invalid_utf8_in_json_is_invalid_json() {
    let expected = (
        ErrorCode::InvalidJson,
        "the body is not valid UTF-8".to_owned(),
    );
    assert_eq!(refused(body(JSON, b"{\"name\":\"\xff\"}")), expected);
}

#[test]
fn metadata_keeps_its_order_and_its_long_numbers() {
    let dto = body(
        JSON,
        br#"{"name":"a","metadata":{"z":12345678901234567890123,"a":1.0}}"#,
    )
    .unwrap();
    assert_eq!(
        dto.metadata.unwrap().get(),
        r#"{"z":12345678901234567890123,"a":1.0}"#
    );
}

#[test]
fn an_empty_form_value_is_absent_where_the_field_is_optional() {
    let dto = body(FORM, b"name=&limit=&alias=").unwrap();
    assert_eq!((dto.name.as_str(), dto.limit, dto.alias), ("", None, None));
    assert_eq!(
        body(JSON, br#"{"name":"a","alias":""}"#)
            .unwrap()
            .alias
            .as_deref(),
        Some("")
    );
}

#[test]
fn an_object_of_endless_fields_is_refused_early() {
    let many: Vec<String> = (0..300).map(|n| format!("\"f{n}\":1")).collect();
    let text = format!("{{{}}}", many.join(","));
    assert_eq!(
        refused(body(JSON, text.as_bytes())).0,
        ErrorCode::InvalidRequest
    );
}

async fn post(dto: Body<Dto>) -> HttpResponse {
    HttpResponse::Ok().json(dto.0)
}

async fn get(dto: Params<Dto>) -> HttpResponse {
    HttpResponse::Ok().json(dto.0)
}

#[actix_web::test]
async fn a_body_over_the_limit_is_too_large_with_or_without_a_length() {
    let app = init_service(App::new().route("/", web::post().to(post))).await;
    for padding in [REQUEST_BYTES - 13, REQUEST_BYTES - 12] {
        let text = format!("{{\"name\":\"{}\"}}", "a".repeat(padding));
        let fits = text.len() <= REQUEST_BYTES;
        for with_length in [true, false] {
            let mut request = TestRequest::post().uri("/").set_payload(text.clone());
            if with_length {
                request = request.insert_header((CONTENT_LENGTH, text.len()));
            }
            let status = call_service(&app, request.to_request()).await.status();
            assert_eq!(
                status.as_u16(),
                if fits { 200 } else { 413 },
                "{} {with_length}",
                text.len()
            );
        }
    }
}

#[actix_web::test]
async fn a_query_reads_like_a_form_and_refuses_in_the_same_shape() {
    let app = init_service(App::new().route("/", web::get().to(get))).await;
    let good: Json = call_and_read_body_json(
        &app,
        TestRequest::get()
            .uri("/?name=a+b&limit=7&ack=1")
            .to_request(),
    )
    .await;
    assert_eq!(
        (&good["name"], &good["limit"], &good["ack"]),
        (&json!("a b"), &json!(7), &json!(true))
    );
    let bad: Json = call_and_read_body_json(
        &app,
        TestRequest::get().uri("/?name=a&limit=x").to_request(),
    )
    .await;
    assert_eq!(bad["code"], "invalid_request");
    assert_eq!(bad["error"], "limit must be a whole number, not text");
}
