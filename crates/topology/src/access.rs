//! Which clients may connect: the rules of an instance's security group, as its nodes use them.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Clients of one network may connect to a range of ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRule {
    /// The network's address.
    pub network: IpAddr,
    /// How many of its leading bits count: 0–32, 0–128 for IPv6.
    pub prefix: u8,
    /// The first port.
    pub port_min: u16,
    /// The last port.
    pub port_max: u16,
}

impl AccessRule {
    /// Whether the rule lets a client of this address connect to `port`. An IPv4 address that came
    /// in an IPv6 coat is the IPv4 address.
    pub fn allows(&self, client: IpAddr, port: u16) -> bool {
        (self.port_min..=self.port_max).contains(&port)
            && match (self.network, client.to_canonical()) {
                (IpAddr::V4(network), IpAddr::V4(client)) => {
                    same_bits(network.to_bits().into(), client.to_bits().into(), self.prefix, 32)
                }
                (IpAddr::V6(network), IpAddr::V6(client)) => {
                    same_bits(network.to_bits(), client.to_bits(), self.prefix, 128)
                }
                _ => false,
            }
    }
}

/// The clients that a group of nodes takes, or those that it does not, beside the security group's
/// rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessList {
    /// The listed clients are the only ones; otherwise all others may come.
    pub only_listed: bool,
    /// The clients.
    pub listed: Vec<AccessRule>,
}

impl AccessList {
    /// Whether a client of this address may connect to `port`.
    pub fn allows(&self, client: IpAddr, port: u16) -> bool {
        self.listed.iter().any(|rule| rule.allows(client, port)) == self.only_listed
    }
}

/// Whether the first `prefix` of `width` bits are the same.
fn same_bits(left: u128, right: u128, prefix: u8, width: u32) -> bool {
    let ignored = width.saturating_sub(u32::from(prefix));
    ignored >= 128 || (left ^ right) >> ignored == 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_matches_its_network_and_ports() {
        for (network, prefix, client, port, allowed) in [
            ("10.1.0.0", 16, "10.1.255.3", 5066, true),
            ("10.1.0.0", 16, "10.2.0.1", 5066, false),
            ("10.1.0.0", 16, "::ffff:10.1.0.1", 5066, true),
            ("10.1.2.3", 32, "10.1.2.3", 5066, true),
            ("10.1.2.3", 32, "10.1.2.2", 5066, false),
            ("0.0.0.0", 0, "192.168.3.4", 5066, true),
            ("0.0.0.0", 0, "::1", 5066, false),
            ("::", 0, "fe80::1", 5066, true),
            ("fd00::", 8, "fd12::1", 5066, true),
            ("0.0.0.0", 0, "10.0.0.1", 5067, false),
        ] {
            let rule = AccessRule {
                network: network.parse().unwrap(),
                prefix,
                port_min: 5000,
                port_max: 5066,
            };
            assert_eq!(rule.allows(client.parse().unwrap(), port), allowed, "{network} {client}");
        }
    }

    #[test]
    fn a_list_names_who_may_come_or_who_may_not() {
        let network = "10.1.0.0".parse().unwrap();
        let listed = vec![AccessRule { network, prefix: 16, port_min: 1, port_max: u16::MAX }];
        for (only_listed, client, allowed) in [
            (true, "10.1.2.3", true),
            (true, "10.2.0.1", false),
            (false, "10.1.2.3", false),
            (false, "10.2.0.1", true),
        ] {
            let list = AccessList { only_listed, listed: listed.clone() };
            assert_eq!(list.allows(client.parse().unwrap(), 5066), allowed, "{client}");
        }
    }
}
