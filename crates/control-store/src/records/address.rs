//! Addresses that are taken. One key each, so that two calls can never take the same one.

use crate::record::Record;
use base::id::InstanceId;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// A taken address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddressRecord {
    /// The address.
    pub ip: Ipv4Addr,
    /// Who has it.
    pub instance_id: InstanceId,
}

impl AddressRecord {
    /// The key of an address.
    pub fn key_of(ip: Ipv4Addr) -> String {
        format!("{}{ip}", Self::PREFIX)
    }
}

impl Record for AddressRecord {
    const PREFIX: &'static str = "addresses/";

    fn key(&self) -> String {
        Self::key_of(self.ip)
    }
}
