//! How values are written: durations such as `30s` or `14d`, sizes such as `64MiB`, flags such
//! as `true`, secrets that are no known default.

use secrecy::SecretString;
use std::time::Duration;

/// `90s`, `1h30m`, `14d`, `500ms`; a bare number is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a duration such as 30s, 5m, 1h30m or 14d";
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .filter(|at| *at > 0)
            .ok_or(EXPECTED)?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail
            .find(|c: char| c.is_ascii_digit())
            .map_or(tail, |end| tail.split_at(end).0);
        let number: u64 = number.parse().map_err(|_| EXPECTED)?;
        let millis = match unit {
            "ms" => Some(number),
            "s" => number.checked_mul(1_000),
            "m" => number.checked_mul(60_000),
            "h" => number.checked_mul(3_600_000),
            "d" => number.checked_mul(86_400_000),
            _ => return Err(EXPECTED.to_owned()),
        };
        total = millis
            .and_then(|ms| total.checked_add(Duration::from_millis(ms)))
            .ok_or(EXPECTED)?;
        rest = tail.strip_prefix(unit).unwrap_or_default();
    }
    if total.is_zero() && !text.starts_with('0') {
        Err(EXPECTED.to_owned())
    } else {
        Ok(total)
    }
}

/// `65536`, `64KB`, `64KiB`, `10MB`, `1GB`; units are powers of 1024.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "expected a size such as 65536, 64KB or 10MB";
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let number: u64 = number.parse().map_err(|_| EXPECTED)?;
    let factor = match unit.trim() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(EXPECTED.to_owned()),
    };
    number
        .checked_mul(factor)
        .filter(|size| *size > 0)
        .ok_or_else(|| EXPECTED.to_owned())
}

/// `https://am.example.org`: an address of the web, without a path of its own.
pub(super) fn web_address(text: &str) -> Result<String, String> {
    const EXPECTED: &str = "expected an address such as https://am.example.org";
    let url = url::Url::parse(text).map_err(|_| EXPECTED)?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(EXPECTED.to_owned())
    }
}

/// What others know is no secret; an empty setting is none at all.
pub(super) fn secret(text: &str) -> Result<SecretString, String> {
    const KNOWN: [&str; 5] = [
        "agent-messenger-dev-secret-change-me",
        "dev-agent-secret-change-me",
        "admin-dev-secret",
        "change-me-to-a-random-secret",
        "changeme",
    ];
    if KNOWN.contains(&text) {
        return Err(
            "this is a published default: choose another, or leave it out and one is made"
                .to_owned(),
        );
    }
    if text.len() < 16 {
        return Err(
            "a secret needs at least 16 characters; leave it out and one is made".to_owned(),
        );
    }
    Ok(text.to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_and_nonsense_is_refused() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("14d"), Ok(Duration::from_secs(14 * 86_400)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        for wrong in ["", "s", "1x", "h1", "99999999999999999999d", "-1s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(bytes("10MB"), Ok(10 << 20));
        assert_eq!(bytes("64KiB"), Ok(65_536));
        for wrong in ["", "MB", "1.5MB", "0", "10XB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
