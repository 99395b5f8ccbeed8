//! The subnet from which nodes and instances get their addresses: a part of 127.0.0.0/8, where every
//! address is this machine's own without anybody configuring it.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// The first byte of every loopback address.
const LOOPBACK: u8 = 127;

/// A smaller subnet has too few addresses for an instance of 32 nodes.
const PREFIX_MAX: u8 = 26;

/// A subnet of loopback addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Its first address.
    pub network: Ipv4Addr,
    /// How many bits all its addresses share.
    pub prefix: u8,
}

impl FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is no subnet; write it like 127.77.0.0/16");
        let (network, prefix) = text.split_once('/').ok_or_else(form)?;
        let network: Ipv4Addr = network.parse().map_err(|_| form())?;
        let prefix: u8 = prefix.parse().map_err(|_| form())?;
        if network.octets()[0] != LOOPBACK {
            return Err(
                "only loopback addresses (127.0.0.0/8) can be used without configuring the machine"
                    .to_owned(),
            );
        }
        if !(8..=PREFIX_MAX).contains(&prefix) {
            return Err(format!("the prefix must be from 8 to {PREFIX_MAX}"));
        }
        let first = Ipv4Addr::from_bits(network.to_bits() & (u32::MAX << (32 - prefix)));
        if first != network {
            return Err(format!(
                "{network} is not the first address of its subnet; write {first}/{prefix}"
            ));
        }
        Ok(Self { network, prefix })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback() {
        let check = |text: &str| text.parse::<Subnet>().map(|subnet| subnet.to_string());
        assert_eq!(check("127.77.0.0/16"), Ok("127.77.0.0/16".to_owned()));
        for (text, word) in [
            ("10.0.0.0/16", "loopback"),
            ("127.77.0.0", "like 127.77.0.0/16"),
            ("127.77.0.0/x", "like 127.77.0.0/16"),
            ("127.77.0.1/16", "write 127.77.0.0/16"),
            ("127.0.0.0/7", "from 8 to 26"),
            ("127.0.0.0/30", "from 8 to 26"),
            ("::1/64", "like 127.77.0.0/16"),
        ] {
            assert!(
                check(text).is_err_and(|error| error.contains(word)),
                "{text}: {:?}",
                check(text)
            );
        }
    }
}
