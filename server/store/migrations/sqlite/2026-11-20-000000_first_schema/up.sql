-- Times are microseconds since 1970; kinds and roles are the numbers of the Rust enums.

CREATE TABLE server_state (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

INSERT INTO server_state (name, value) VALUES ('schema', CAST('agent-messenger' AS BLOB));

CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    public_id TEXT NOT NULL UNIQUE,
    username TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    role SMALLINT NOT NULL,
    created_at BIGINT NOT NULL,
    deleted_at BIGINT
);

CREATE TABLE agents (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    public_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    model TEXT NOT NULL,
    personality TEXT NOT NULL,
    specialty TEXT NOT NULL,
    token_hash BLOB,
    bound BOOLEAN NOT NULL DEFAULT FALSE,
    created_at BIGINT NOT NULL,
    deleted_at BIGINT
);

CREATE TABLE devices (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    principal_kind SMALLINT NOT NULL,
    principal_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    UNIQUE (principal_kind, principal_id, name)
);

CREATE TABLE logins (
    sid TEXT NOT NULL PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device_id BIGINT REFERENCES devices (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
) WITHOUT ROWID;

CREATE INDEX logins_user ON logins (user_id);
CREATE INDEX logins_device ON logins (device_id) WHERE device_id IS NOT NULL;

CREATE TABLE invites (
    token_hash BLOB NOT NULL PRIMARY KEY,
    role SMALLINT NOT NULL,
    created_by BIGINT REFERENCES users (id) ON DELETE SET NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    used_by BIGINT REFERENCES users (id) ON DELETE SET NULL
) WITHOUT ROWID;

CREATE TABLE conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    public_id TEXT NOT NULL UNIQUE,
    kind SMALLINT NOT NULL,
    title TEXT,
    first_seq BIGINT NOT NULL DEFAULT 1,
    first_rev BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL
);

-- A member is shown the entries above joined_seq, up to left_seq where it is set.
CREATE TABLE members (
    conversation_id BIGINT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    principal_kind SMALLINT NOT NULL,
    principal_id BIGINT NOT NULL,
    role SMALLINT NOT NULL,
    joined_seq BIGINT NOT NULL DEFAULT 0,
    left_seq BIGINT,
    read_seq BIGINT NOT NULL DEFAULT 0,
    joined_at BIGINT NOT NULL,
    PRIMARY KEY (conversation_id, principal_kind, principal_id)
) WITHOUT ROWID;

CREATE INDEX members_principal ON members (principal_kind, principal_id, conversation_id);

-- Every further full index here costs 4 to 6 microseconds a message: one, and partial ones only.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY NOT NULL,
    conversation_id BIGINT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    sender_kind SMALLINT NOT NULL,
    sender_id BIGINT NOT NULL,
    device_id BIGINT,
    client_msg_id TEXT,
    body TEXT NOT NULL,
    metadata TEXT,
    created_at BIGINT NOT NULL,
    edited_at BIGINT,
    deleted_at BIGINT,
    legacy_id TEXT,
    UNIQUE (conversation_id, seq)
);

CREATE UNIQUE INDEX messages_legacy ON messages (legacy_id) WHERE legacy_id IS NOT NULL;
CREATE INDEX messages_hidden ON messages (conversation_id, seq) WHERE deleted_at IS NOT NULL OR kind = 3;

CREATE TABLE changes (
    conversation_id BIGINT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    rev BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    message_id BIGINT,
    message_seq BIGINT,
    payload TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (conversation_id, rev)
) WITHOUT ROWID;

CREATE INDEX changes_age ON changes (created_at);

CREATE TABLE positions (
    device_id BIGINT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    conversation_id BIGINT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    rev BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (device_id, conversation_id)
) WITHOUT ROWID;

CREATE INDEX positions_conversation ON positions (conversation_id);

-- What a repeat is answered with, for as long as repeats are recognised.
CREATE TABLE sends (
    sender_kind SMALLINT NOT NULL,
    sender_id BIGINT NOT NULL,
    client_msg_id TEXT NOT NULL,
    message_id BIGINT NOT NULL,
    conversation_id BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    body_hash BLOB NOT NULL,
    PRIMARY KEY (sender_kind, sender_id, client_msg_id)
) WITHOUT ROWID;
