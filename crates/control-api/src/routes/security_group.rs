//! Routes of security groups and their rules (our own calls).

use super::Route;

pub(super) const ROUTES: &[Route] = &[];
