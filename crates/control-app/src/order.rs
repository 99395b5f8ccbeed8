//! Orders: paying one starts the job that makes what it buys.

use crate::app::App;
use crate::change::Tries;
use crate::jobs::{INSTANCE_CREATE, instance_lock};
use crate::time::now_ms;
use base::api_error::{ApiError, CONFLICT, NOT_FOUND};
use base::id::ProjectId;
use control_api::order::PayOrderResponse;
use control_store::record::Versioned;
use control_store::records::instance::InstanceStatus;
use control_store::records::order::{OrderRecord, Purchase};
use serde_json::json;

impl App {
    /// `POST /v3/{project_id}/orders/{order_id}/pay`
    pub async fn pay_order(
        &self,
        project: &ProjectId,
        id: &str,
    ) -> Result<PayOrderResponse, ApiError> {
        let missing =
            || ApiError::not_found(NOT_FOUND, "The order does not exist.", "订单不存在。");
        let mut tries = Tries::default();
        loop {
            let order: Versioned<OrderRecord> =
                self.get(&OrderRecord::key_of(id)).await?.ok_or_else(missing)?;
            if order.value.project_id != *project {
                return Err(missing());
            }
            let mut change = self.change(&order.value.instance_id).await?;
            let buys_instance = order.value.purchase == Purchase::Instance;
            let waits = !buys_instance || change.instance.status == InstanceStatus::Creating;
            if order.value.paid_ms.is_some() || !waits {
                return Err(ApiError::new(CONFLICT)
                    .because("The order needs no payment.", "订单无需支付。"));
            }
            let paid = OrderRecord { paid_ms: Some(now_ms()), ..order.value.clone() };
            change.update(&order, &paid);
            if buys_instance {
                let lock = instance_lock(&paid.instance_id);
                change.start_job(INSTANCE_CREATE, lock, None, json!({}))?;
            } else {
                self.begin_purchase(&mut change, &paid.purchase).await?;
            }
            if let Some(committed) = change.commit().await? {
                return Ok(PayOrderResponse {
                    order_id: paid.id,
                    instance_id: paid.instance_id.to_string(),
                    job_id: committed.into_job_id(),
                });
            }
            tries.again()?;
        }
    }
}
