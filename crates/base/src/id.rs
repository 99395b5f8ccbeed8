//! Typed ids in the documents' formats: 32 hex digits and a four-character suffix that names the
//! kind of object (`in09` instance, `no09` node, …). A typed id cannot be passed where another
//! object's id is meant.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The random part of an id, in bytes.
pub const ID_RANDOM_BYTES: usize = 16;

/// Lower-case hex digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Random bytes for a new id or secret, from the cryptographic generator.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's random generator answers");
    bytes
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $suffix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// What every id of this kind ends in.
            pub const SUFFIX: &'static str = $suffix;

            /// An id from random bytes.
            pub fn from_random(random: [u8; ID_RANDOM_BYTES]) -> Self {
                Self(format!("{}{}", hex(&random), Self::SUFFIX))
            }

            /// A new random id.
            pub fn random() -> Self {
                Self::from_random(random_bytes())
            }

            /// The id that `text` spells, if it has this kind's format.
            pub fn parse(text: &str) -> Option<Self> {
                let digits = text.strip_suffix(Self::SUFFIX)?;
                (digits.len() == ID_RANDOM_BYTES * 2 && is_hex(digits)).then(|| Self(text.to_owned()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

typed_id!(
    /// A DDM instance.
    InstanceId, "in09"
);
typed_id!(
    /// A DDM node.
    NodeId, "no09"
);
typed_id!(
    /// A group of nodes of one instance.
    GroupId, "gr09"
);
typed_id!(
    /// A data node, or one of its replicas.
    DataNodeId, "in01"
);
typed_id!(
    /// A parameter template.
    ConfigurationId, "pr09"
);
typed_id!(
    /// A metadata backup.
    BackupId, "br09"
);
typed_id!(
    /// A project.
    ProjectId, ""
);
typed_id!(
    /// A user of IAM.
    UserId, ""
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_its_kinds_format() {
        let id = InstanceId::from_random([0xab; 16]);
        assert_eq!(id.as_str(), format!("{}in09", "ab".repeat(16)));
        assert_eq!(InstanceId::parse(id.as_str()), Some(id.clone()));
        assert_eq!(NodeId::parse(id.as_str()), None);
        for bad in ["", "in09", "ABABABABABABABABABABABABABABABABin09", "abin09"] {
            assert_eq!(InstanceId::parse(bad), None, "{bad}");
        }
        assert_ne!(InstanceId::random(), InstanceId::random());
    }
}
