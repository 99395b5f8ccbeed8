//! Addresses of nodes and instances: the next free ones of the configured subnet. Pure: who calls
//! records what was taken in the same transaction in which it read what was free.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A subnet, for example `127.77.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    network: u32,
    prefix: u8,
}

/// The text is no subnet that addresses can be taken from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no IPv4 subnet with 8 to 30 bits of network, for example 127.77.0.0/16")]
pub struct BadSubnet(String);

impl FromStr for Subnet {
    type Err = BadSubnet;

    fn from_str(text: &str) -> Result<Self, BadSubnet> {
        let bad = || BadSubnet(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
        let address: Ipv4Addr = address.parse().map_err(|_| bad())?;
        let prefix: u8 = prefix.parse().map_err(|_| bad())?;
        if !(8..=30).contains(&prefix) {
            return Err(bad());
        }
        let mask = u32::MAX << (32 - prefix);
        Ok(Self { network: u32::from(address) & mask, prefix })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.network), self.prefix)
    }
}

impl Subnet {
    /// The network's own address.
    pub fn network(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.network)
    }

    /// How many of its bits are the network's.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The first `count` free addresses, or `None` when there are not so many. The network's own
    /// address, the first host (by custom a router's) and the broadcast address are never given.
    pub fn allocate(&self, used: &BTreeSet<Ipv4Addr>, count: usize) -> Option<Vec<Ipv4Addr>> {
        let hosts = (1u32 << (32 - self.prefix)) - 1;
        let free: Vec<Ipv4Addr> = (2..hosts)
            .map(|host| Ipv4Addr::from(self.network + host))
            .filter(|address| !used.contains(address))
            .take(count)
            .collect();
        (free.len() == count).then_some(free)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn free_addresses_come_in_order_and_end() {
        let subnet: Subnet = "127.77.3.9/29".parse().unwrap();
        assert_eq!(subnet.to_string(), "127.77.3.8/29");
        let taken = BTreeSet::from([Ipv4Addr::new(127, 77, 3, 11)]);
        let given = subnet.allocate(&taken, 3).unwrap();
        assert_eq!(given, [10, 12, 13].map(|last| Ipv4Addr::new(127, 77, 3, last)));
        assert_eq!(subnet.allocate(&taken, 5), None);
        for bad in ["127.77.0.0", "127.77.0.0/31", "127.77.0.0/2", "::1/64", "x/16", "127.77.0.0/x"]
        {
            assert_eq!(bad.parse::<Subnet>(), Err(BadSubnet(bad.to_owned())));
        }
    }
}
