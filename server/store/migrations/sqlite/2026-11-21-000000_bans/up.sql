-- Who is kept out, and why.
CREATE TABLE bans (
    principal_kind SMALLINT NOT NULL,
    principal_id BIGINT NOT NULL,
    reason TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (principal_kind, principal_id)
) WITHOUT ROWID;
