//! What a password must be: 8–32 characters of letters, digits and the listed special ones, of at
//! least three of the four classes, and neither the account's name nor that name reversed. Whether
//! it is easy to guess is a matter of a dictionary and is asked elsewhere.

use base::api_error::{ACCOUNT_PASSWORD_INVALID, ApiError};

/// Shortest password.
pub const PASSWORD_LENGTH_MIN: usize = 8;

/// Longest password.
pub const PASSWORD_LENGTH_MAX: usize = 32;

/// The special characters that a password may have.
pub const SPECIAL: &str = "~!@#%^*-_+?";

/// How many of the four classes a password must have.
pub const CLASSES_MIN: usize = 3;

/// Refuses a password that breaks a rule. `field` is where it stands in the request.
pub fn check(field: &str, name: &str, password: &str) -> Result<(), ApiError> {
    let wrong = |english: &str, chinese: &str| {
        Err(ApiError::new(ACCOUNT_PASSWORD_INVALID).field(field).because(english, chinese))
    };
    if !(PASSWORD_LENGTH_MIN..=PASSWORD_LENGTH_MAX).contains(&password.chars().count()) {
        return wrong("must have 8 to 32 characters", "长度必须为8~32个字符");
    }
    let class = |c: char| match c {
        'a'..='z' => Some(0),
        'A'..='Z' => Some(1),
        '0'..='9' => Some(2),
        c if SPECIAL.contains(c) => Some(3),
        _ => None,
    };
    let mut seen = [false; 4];
    for character in password.chars() {
        match class(character) {
            Some(class) => seen[class] = true,
            None => {
                return wrong(
                    "may have letters, digits and ~!@#%^*-_+? alone",
                    "只能包含字母、数字和特殊字符~!@#%^*-_+?",
                );
            }
        }
    }
    if seen.iter().filter(|seen| **seen).count() < CLASSES_MIN {
        return wrong(
            "must have three of: upper-case letters, lower-case letters, digits, special characters",
            "至少包含大写字母、小写字母、数字、特殊字符中的三种",
        );
    }
    let reversed: String = name.chars().rev().collect();
    if password.eq_ignore_ascii_case(name) || password.eq_ignore_ascii_case(&reversed) {
        return wrong("must not be the name or the name reversed", "不能与名称或倒序的名称相同");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_rule_refuses() {
        let long = format!("Aa1{}", "x".repeat(29));
        for good in ["Abcdefg1", "abcdef_1", "ABCDEF_1", "Abcdef!?", long.as_str()] {
            assert_eq!(check("password", "Adm1nistrator", good), Ok(()), "{good}");
        }
        let too_long = format!("{long}x");
        for bad in [
            "Abcdef1",
            &too_long,
            "abcdefg1",
            "Abcdefgh",
            "Abcdef 1",
            "Abcdef$1",
            "Abcdefé1",
            "",
            "Adm1nistrator",
            "rotartsin1mdA",
            "ADM1NISTRATOR",
        ] {
            let error = check("user.password", "Adm1nistrator", bad).unwrap_err();
            assert_eq!((error.code.code, error.status), ("DBS.300306", 400), "{bad}");
            assert_eq!(error.field.as_deref(), Some("user.password"));
        }
    }
}
