//! The tables as Diesel sees them; the SQL in `migrations/` decides. Columns that name another
//! row hold its integer key, times are microseconds since 1970.

diesel::table! {
    server_state (name) {
        name -> Text,
        value -> Binary,
    }
}

diesel::table! {
    users (id) {
        id -> BigInt,
        public_id -> Text,
        username -> Text,
        password_hash -> Text,
        role -> SmallInt,
        created_at -> BigInt,
        deleted_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    agents (id) {
        id -> BigInt,
        public_id -> Text,
        name -> Text,
        model -> Text,
        personality -> Text,
        specialty -> Text,
        token_hash -> Nullable<Binary>,
        bound -> Bool,
        created_at -> BigInt,
        deleted_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    devices (id) {
        id -> BigInt,
        principal_kind -> SmallInt,
        principal_id -> BigInt,
        name -> Text,
        created_at -> BigInt,
        used_at -> BigInt,
    }
}

diesel::table! {
    logins (sid) {
        sid -> Text,
        user_id -> BigInt,
        device_id -> Nullable<BigInt>,
        created_at -> BigInt,
        used_at -> BigInt,
        expires_at -> BigInt,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    invites (token_hash) {
        token_hash -> Binary,
        role -> SmallInt,
        created_by -> Nullable<BigInt>,
        created_at -> BigInt,
        expires_at -> BigInt,
        used_at -> Nullable<BigInt>,
        used_by -> Nullable<BigInt>,
    }
}

diesel::table! {
    conversations (id) {
        id -> BigInt,
        public_id -> Text,
        kind -> SmallInt,
        title -> Nullable<Text>,
        first_seq -> BigInt,
        first_rev -> BigInt,
        created_at -> BigInt,
        last_at -> BigInt,
    }
}

diesel::table! {
    members (conversation_id, principal_kind, principal_id) {
        conversation_id -> BigInt,
        principal_kind -> SmallInt,
        principal_id -> BigInt,
        role -> SmallInt,
        joined_seq -> BigInt,
        left_seq -> Nullable<BigInt>,
        read_seq -> BigInt,
        joined_at -> BigInt,
    }
}

diesel::table! {
    messages (id) {
        id -> BigInt,
        conversation_id -> BigInt,
        seq -> BigInt,
        kind -> SmallInt,
        sender_kind -> SmallInt,
        sender_id -> BigInt,
        device_id -> Nullable<BigInt>,
        client_msg_id -> Nullable<Text>,
        body -> Text,
        metadata -> Nullable<Text>,
        created_at -> BigInt,
        edited_at -> Nullable<BigInt>,
        deleted_at -> Nullable<BigInt>,
        legacy_id -> Nullable<Text>,
    }
}

diesel::table! {
    changes (conversation_id, rev) {
        conversation_id -> BigInt,
        rev -> BigInt,
        kind -> SmallInt,
        message_id -> Nullable<BigInt>,
        message_seq -> Nullable<BigInt>,
        payload -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::table! {
    positions (device_id, conversation_id) {
        device_id -> BigInt,
        conversation_id -> BigInt,
        seq -> BigInt,
        rev -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    sends (sender_kind, sender_id, client_msg_id) {
        sender_kind -> SmallInt,
        sender_id -> BigInt,
        client_msg_id -> Text,
        message_id -> BigInt,
        conversation_id -> BigInt,
        seq -> BigInt,
        created_at -> BigInt,
        body_hash -> Binary,
    }
}

diesel::table! {
    bans (principal_kind, principal_id) {
        principal_kind -> SmallInt,
        principal_id -> BigInt,
        reason -> Text,
        created_at -> BigInt,
    }
}

diesel::joinable!(members -> conversations (conversation_id));
diesel::allow_tables_to_appear_in_same_query!(
    users,
    agents,
    devices,
    logins,
    invites,
    conversations,
    members,
    messages,
    changes,
    positions,
    sends,
);
