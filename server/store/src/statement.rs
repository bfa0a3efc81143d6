//! Statements as text that stay prepared. Diesel never caches an upsert, an update or
//! `sql_query`, and preparing one anew costs more than running it; these it caches by type.

/// Declares a statement for SQLite: its SQL with a `?` for each bind, and the binds in order.
macro_rules! sqlite_statement {
    ($(#[$doc:meta])* $name:ident { $($bind:ident: $rust:ty => $sql_type:ident),+ $(,)? } $sql:expr) => {
        $(#[$doc])*
        pub(crate) struct $name<'a> {
            $(pub(crate) $bind: $rust,)+
            pub(crate) lifetime: std::marker::PhantomData<&'a ()>,
        }

        impl diesel::query_builder::QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl diesel::query_builder::QueryFragment<diesel::sqlite::Sqlite> for $name<'_> {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::sqlite::Sqlite>,
            ) -> diesel::QueryResult<()> {
                let mut text = $sql.split('?');
                $(
                    out.push_sql(text.next().unwrap_or_default());
                    out.push_bind_param::<diesel::sql_types::$sql_type, _>(&self.$bind)?;
                )+
                out.push_sql(text.next().unwrap_or_default());
                Ok(())
            }
        }

        impl<C> diesel::RunQueryDsl<C> for $name<'_> {}
    };
}
pub(crate) use sqlite_statement;
