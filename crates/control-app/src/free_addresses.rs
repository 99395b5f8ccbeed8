//! Free addresses of the subnet. The search begins after the address that was given last, so that it
//! reads few of those that are taken, two calls at once get different ones, and an address that has
//! become free is not given again at once. Who calls writes the addresses on condition that they are
//! still free.

use crate::app::App;
use crate::error::AppError;
use base::api_error::{ApiError, QUOTA_EXCEEDED};
use control_store::KeyRange;
use control_store::records::address::AddressRecord;
use control_store::store::RANGES_MAX;
use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;

/// Addresses that are looked at in one question to the store.
const LOOKED_AT_ONCE: usize = RANGES_MAX;

impl App {
    /// So many addresses that nobody has, or what to answer when there are not so many.
    pub(crate) async fn unused_addresses(&self, count: usize) -> Result<Vec<Ipv4Addr>, ApiError> {
        self.free_addresses(count).await?.ok_or_else(|| {
            ApiError::new(QUOTA_EXCEEDED)
                .because("The subnet has no free addresses left.", "子网中没有空闲地址。")
        })
    }

    /// So many addresses that nobody has; `None`: there are not so many.
    async fn free_addresses(&self, count: usize) -> Result<Option<Vec<Ipv4Addr>>, AppError> {
        let hosts = self.settings.node_subnet.host_count();
        let first = self.next_host.load(Ordering::Relaxed) % hosts;
        let places: Vec<u32> = (first..hosts).chain(0..first).collect();
        let mut free = Vec::with_capacity(count);
        for part in places.chunks(LOOKED_AT_ONCE) {
            let addresses = part.iter().map(|place| self.settings.node_subnet.host(*place));
            let keys = addresses.map(|ip| KeyRange::key(&AddressRecord::key_of(ip))).collect();
            let taken = self.store.ranges(keys).await?;
            for (place, taken) in part.iter().zip(taken) {
                if taken.is_empty() {
                    free.push(self.settings.node_subnet.host(*place));
                }
                if free.len() == count {
                    self.next_host.store(place + 1, Ordering::Relaxed);
                    return Ok(Some(free));
                }
            }
        }
        Ok(None)
    }
}
