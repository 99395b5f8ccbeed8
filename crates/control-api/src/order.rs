//! Orders of instances that are paid before they are made. Paying is a call of our own: the
//! documents leave it to another service.

use serde::Serialize;
use utoipa::ToSchema;

/// Answer of the call that pays an order.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PayOrderResponse {
    /// The order.
    pub order_id: String,
    /// The instance that it bought.
    pub instance_id: String,
    /// The job that makes the instance.
    pub job_id: String,
}
