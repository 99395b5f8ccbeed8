//! What tests of the whole system share: real MariaDB servers, a real `ddm up`, and the oracle,
//! which runs one statement on a plain server and on DDM and compares what a client sees. Only
//! tests use it; it must not be linked into the product.

pub mod case_file;
pub mod compare;
pub mod generate;
pub mod layout;
pub mod mtr;
pub mod mtr_order;
pub mod mtr_rules;
pub mod mtr_run;
pub mod observe;
pub mod oracle;
pub mod plain_server;
pub mod scratch_dir;
pub mod system;
pub mod table_set;
