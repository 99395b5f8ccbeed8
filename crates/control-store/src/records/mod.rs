//! What the product keeps, one file per noun: plain data with a key. The rules of the nouns are not
//! here but with what works on them; the store itself knows none of these types.

pub mod access_list;
pub mod account;
pub mod address;
pub mod backup;
pub mod configuration;
pub mod data_node;
pub mod ddl;
pub mod fence;
pub mod group;
pub mod instance;
pub mod node;
pub mod order;
pub mod schema;
pub mod security_group;
pub mod table;

use serde::{Deserialize, Serialize};
use std::fmt;

/// A sealed secret as text (base64); it opens only with the seal key and the context that it was
/// sealed for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(pub String);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(***)")
    }
}
