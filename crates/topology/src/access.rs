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
}
