//! The configured subnet, from which nodes and instances get their addresses. Pure: which of them are
//! free is looked up elsewhere.

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

    /// How many addresses can be given. The network's own address, the first host (by custom a
    /// router's) and the broadcast address never are.
    pub fn host_count(&self) -> u32 {
        (1u32 << (32 - self.prefix)) - 3
    }

    /// The address at this place, below [`Subnet::host_count`].
    pub fn host(&self, place: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.network + 2 + place)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hosts_are_counted() {
        let subnet: Subnet = "127.77.3.9/29".parse().unwrap();
        assert_eq!(subnet.to_string(), "127.77.3.8/29");
        let hosts: Vec<Ipv4Addr> = (0..subnet.host_count()).map(|at| subnet.host(at)).collect();
        assert_eq!(hosts, [10, 11, 12, 13, 14].map(|last| Ipv4Addr::new(127, 77, 3, last)));
        assert_eq!("10.0.0.0/30".parse::<Subnet>().unwrap().host_count(), 1);
        for bad in ["127.77.0.0", "127.77.0.0/31", "127.77.0.0/2", "::1/64", "x/16", "127.77.0.0/x"]
        {
            assert_eq!(bad.parse::<Subnet>(), Err(BadSubnet(bad.to_owned())));
        }
    }
}
