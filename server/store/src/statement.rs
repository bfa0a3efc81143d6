//! Statements as text that stay prepared. Diesel never caches an upsert, an update or
//! `sql_query`, and preparing one anew costs more than running it; these it caches by type.
//! One text serves every backend that understands it.

/// Declares a statement: its SQL with a `?` for each bind, and the binds in order.
macro_rules! statement {
    ($(#[$doc:meta])* $name:ident { $($bind:ident: $rust:ty => $sql_type:ty),+ $(,)? } $sql:expr) => {
        $(#[$doc])*
        pub(crate) struct $name<'a> {
            $(pub(crate) $bind: $rust,)+
            pub(crate) lifetime: std::marker::PhantomData<&'a ()>,
        }

        impl diesel::query_builder::QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl diesel::query_builder::Query for $name<'_> {
            type SqlType = diesel::sql_types::Untyped;
        }

        impl<'a, DB> diesel::query_builder::QueryFragment<DB> for $name<'a>
        where
            DB: diesel::backend::Backend,
            $(
                $rust: diesel::serialize::ToSql<$sql_type, DB>,
                DB: diesel::sql_types::HasSqlType<$sql_type>,
            )+
        {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, DB>,
            ) -> diesel::QueryResult<()> {
                let mut text = $sql.split('?');
                $(
                    out.push_sql(text.next().unwrap_or_default());
                    out.push_bind_param::<$sql_type, _>(&self.$bind)?;
                )+
                out.push_sql(text.next().unwrap_or_default());
                Ok(())
            }
        }

        impl<C> diesel::RunQueryDsl<C> for $name<'_> {}
    };
}
pub(crate) use statement;
