//! Routes of orders.

use super::{BASE, POST, Route};
use crate::body;
use crate::order;
use base::api_error::*;

pub(super) const ROUTES: &[Route] = &[Route {
    method: POST,
    path: "/v3/{project_id}/orders/{order_id}/pay",
    operation: "pay_order",
    summary: "Pay an order (our own call)",
    tag: "order",
    response: body!(order::PayOrderResponse, "PayOrderResponse"),
    errors: &[CONFLICT],
    status: 202,
    ..BASE
}];
