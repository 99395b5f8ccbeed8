//! Why something could not be done, below the API's codes: for a caller it becomes an API error, for
//! a job's step a reason to try again or to give up.

use base::api_error::{ApiError, INSTANCE_NOT_AVAILABLE, NOT_FOUND, SERVER_FAILURE, UNAVAILABLE};
use base::seal::SealError;
use control_store::StoreError;
use job_engine::StepError;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such instance.
    #[error("the instance does not exist")]
    NoInstance,
    /// Another job works on the object.
    #[error("another operation works on it")]
    Busy,
    /// Others kept changing what was to be changed.
    #[error("the object kept changing; it was tried {0} times")]
    Contended(u32),
    /// A secret does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A record that contradicts itself.
    #[error("{0}")]
    Broken(String),
}

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        match error {
            AppError::NoInstance => instance_missing(),
            AppError::Busy => ApiError::new(INSTANCE_NOT_AVAILABLE),
            AppError::Store(StoreError::Unavailable(_)) | AppError::Contended(_) => {
                tracing::warn!(%error, "a call failed");
                ApiError::new(UNAVAILABLE)
            }
            AppError::Store(_) | AppError::Seal(_) | AppError::Broken(_) => {
                tracing::error!(%error, "a call failed");
                ApiError::new(SERVER_FAILURE)
            }
        }
    }
}

impl From<AppError> for StepError {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Store(_) | AppError::Contended(_) | AppError::Busy => {
                StepError::transient(error)
            }
            AppError::NoInstance | AppError::Seal(_) | AppError::Broken(_) => {
                StepError::permanent(error)
            }
        }
    }
}

/// The answer for an instance that is not there, or not the caller's.
pub fn instance_missing() -> ApiError {
    ApiError::not_found(NOT_FOUND, "The instance does not exist.", "实例不存在。")
}
