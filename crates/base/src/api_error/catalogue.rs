//! The entries. First those that the API documents list in their appendix, in its order; then the
//! codes of the examples and of HTTP conditions that the documents name without a code.

use super::ApiCode;
use crate::error_kind::ErrorKind::{self, Conflict, Dependency, Internal, Limit, User};

macro_rules! catalogue {
    ($($name:ident $code:literal $status:literal $kind:ident $english:literal $chinese:literal;)*) => {
        $(
            #[doc = concat!("`", $code, "`: ", $english)]
            pub const $name: &ApiCode = &ApiCode {
                code: $code,
                status: $status,
                kind: $kind as ErrorKind,
                english: $english,
                chinese: $chinese,
            };
        )*

        /// Every error that the API may answer.
        pub const CATALOGUE: &[&ApiCode] = &[$($name),*];
    };
}

catalogue! {
    PARAMETER_ERROR "DBS.280001" 400 User "Parameter error." "参数错误。";
    INSTANCE_NOT_AVAILABLE "DBS.200076" 409 Conflict "The instance and node must be in the Available state." "实例或节点当前状态不允许该操作。";
    SERVER_FAILURE_REFRESH "DBS.300002" 400 Internal "Server failure." "服务异常，请稍后重试。";
    REQUEST_FAILED "DBS.300005" 400 Internal "Failed to process the request. Contact technical support." "请求处理失败，请联系技术支持。";
    SCHEMA_CREATE_FAILED "DBS.300100" 400 Dependency "Failed to create the schema." "创建逻辑库失败。";
    SCHEMA_DELETE_FAILED "DBS.300101" 400 Dependency "Failed to delete the schema." "删除逻辑库失败。";
    DATA_NODE_COUNT_INVALID "DBS.300102" 400 User "The number of RDS instances associated with the schema is invalid." "逻辑库关联的数据节点个数不合法。";
    DATA_NODE_MISSING "DBS.300103" 400 User "The RDS instance does not exist or it is not in the same VPC as the schema." "数据节点不存在，或与逻辑库不在同一VPC。";
    SHARDING_RULE_INVALID "DBS.300104" 400 User "The sharding rule of the schema is invalid." "逻辑库的拆分模式不合法。";
    SHARD_UNIT_INVALID "DBS.300106" 400 User "The number of shards per RDS instance is invalid." "每个数据节点上的分片数不合法。";
    ACCOUNTS_DUPLICATED "DBS.300107" 400 User "The accounts are duplicated." "请求中的账号重复。";
    DATA_NODES_DUPLICATED "DBS.300108" 400 User "The RDS instances are duplicated." "请求中的数据节点重复。";
    SCHEMA_NAME_INVALID "DBS.300109" 400 User "The schema name is invalid." "逻辑库名称不合法。";
    DATA_NODE_STATE "DBS.300110" 400 Conflict "The status of the RDS instance does not allow associating with the schema." "数据节点当前状态不允许关联逻辑库。";
    SCHEMA_EXISTS "DBS.300112" 400 User "This schema name already exists." "逻辑库名称已存在。";
    PHYSICAL_DATABASE_FAILED "DBS.300113" 400 Dependency "Failed to create a physical database." "创建物理库失败。";
    DATA_NODE_LOGIN_WRONG "DBS.300114" 400 User "The administrator or password is incorrect." "数据节点管理员账号或密码错误。";
    SHARD_DELETE_FAILED "DBS.300115" 400 Dependency "Failed to delete the shard." "删除分片失败。";
    DATA_NODE_QUERY_FAILED "DBS.300116" 400 Dependency "Failed to query available RDS instances." "查询可用数据节点失败。";
    ASSOCIATED_DATA_NODES_FAILED "DBS.300117" 400 Dependency "Failed to obtain the associated RDS instances." "获取已关联的数据节点失败。";
    SHARD_CONFIGURATION_FAILED "DBS.300118" 400 User "Failed to configure shards of a schema." "逻辑库分片变更失败。";
    TASK_QUERY_FAILED "DBS.300120" 400 Internal "Failed to obtain task information." "获取任务信息失败。";
    SHARD_TASK_DELETE_FAILED "DBS.300121" 400 Conflict "Failed to delete the shard configuration task." "删除分片变更任务失败。";
    SHARD_TASK_ROLLBACK_FAILED "DBS.300122" 400 Conflict "Failed to roll back the shard configuration task." "回滚分片变更任务失败。";
    SHARD_TASK_RETRY_FAILED "DBS.300123" 400 Conflict "Failed to retry the shard configuration task." "重试分片变更任务失败。";
    DATA_NODE_SYNC_FAILED "DBS.300125" 400 Dependency "Failed to synchronize RDS information." "同步数据节点信息失败。";
    SHARD_NUMBER_INVALID "DBS.300127" 400 User "The number of shards in the RDS instances associated with the schema is invalid." "逻辑库的总分片数不合法。";
    SCHEMA_LIST_FAILED "DBS.300128" 400 Internal "Failed to query schema information." "查询逻辑库列表失败。";
    SCHEMA_MISSING "DBS.300129" 400 User "Failed to query schema information." "查询逻辑库信息失败，请确认逻辑库存在。";
    SCHEMA_STATE "DBS.300130" 400 Conflict "Invalid schema status." "逻辑库当前状态不允许该操作。";
    BLACKLIST_UPDATE_FAILED "DBS.300131" 400 Internal "Failed to update the schema SQL blacklist." "更新逻辑库SQL黑名单失败。";
    BLACKLIST_QUERY_FAILED "DBS.300132" 400 Internal "Failed to query the schema SQL blacklist." "查询逻辑库SQL黑名单失败。";
    DATA_NODE_EXPANDING "DBS.300133" 400 Conflict "The RDS instance is being used to scale out a schema." "数据节点正在用于逻辑库扩容。";
    SCHEMA_TASK_STATE "DBS.300134" 400 Conflict "The schema status does not allow rolling back or canceling the scale-out task." "逻辑库当前状态不允许回滚或取消扩容任务。";
    READ_WEIGHT_UPDATE_FAILED "DBS.300135" 400 Internal "Failed to update the relative read weight of the RDS instance." "更新数据节点读权重失败。";
    ACCOUNT_CREATE_FAILED "DBS.300300" 400 User "Failed to create a DDM account." "创建账号失败。";
    ACCOUNT_UPDATE_FAILED "DBS.300301" 400 User "Failed to update the account." "更新账号失败。";
    ACCOUNT_DELETE_FAILED "DBS.300302" 400 Internal "Failed to delete the account." "删除账号失败。";
    ACCOUNT_NAME_INVALID "DBS.300305" 400 User "Invalid DDM account name." "账号名称不合法。";
    ACCOUNT_PASSWORD_INVALID "DBS.300306" 400 User "The account password is invalid." "账号密码不合法。";
    ACCOUNT_DESCRIPTION_INVALID "DBS.300307" 400 User "The account description is invalid." "账号描述不合法。";
    ACCOUNT_AUTHORITY_INVALID "DBS.300309" 400 User "The account basic permissions are invalid." "账号基础权限不合法。";
    ACCOUNT_EXTENDED_INVALID "DBS.300310" 400 User "The account extended permissions are invalid." "账号扩展权限不合法。";
    ACCOUNT_EXISTS "DBS.300311" 400 User "The account already exists." "账号已存在。";
    ACCOUNT_QUERY_FAILED "DBS.300312" 400 Internal "Failed to query the account." "查询账号失败。";
    BLACKLIST_CONFIGURE_FAILED "DBS.300313" 400 User "Failed to configure the SQL blacklist." "配置SQL黑名单失败。";
    READ_POLICY_UPDATE_FAILED "DBS.300314" 400 Internal "Failed to modify the read/write policy." "修改读策略失败。";
    READ_WEIGHT_INVALID "DBS.300315" 400 User "Invalid read/write relative weight." "读权重不合法。";
    READ_POLICY_QUERY_FAILED "DBS.300316" 400 Internal "Failed to query the read/write policy." "查询读策略失败。";
    METADATA_SAVE_FAILED "DBS.300322" 400 Internal "Failed to save instance metadata." "保存实例元数据失败。";
    DATA_NODE_UNAVAILABLE "DBS.300323" 400 Dependency "The associated RDS instance is unavailable or this operation cannot be performed when the RDS instance is in the current state." "关联的数据节点不可用，或其状态不允许该操作。";
    ACCOUNT_MISSING "DBS.300327" 400 User "The account does not exist." "账号不存在。";
    PASSWORD_RESET_FAILED "DBS.300328" 400 Internal "Failed to reset the password." "重置密码失败。";
    STEP_NAME_FAILED "DBS.300329" 400 Internal "Failed to obtain the step name." "获取任务步骤失败。";
    JSON_CONVERT_FAILED "DBS.300330" 400 Internal "Failed to convert the string from JSON to the required format." "JSON转换失败。";
    MIGRATION_ERROR "DBS.300331" 400 Dependency "Data migration error." "数据迁移出错。";
    SHARD_CONFIGURATION_TIMEOUT "DBS.300332" 400 Dependency "The request for shard configuration times out." "分片变更请求超时。";
    TIME_ZONE_CHECK_FAILED "DBS.300333" 400 User "Failed to check the time zone." "时区检查未通过。";
    SQL_MODE_CHECK_FAILED "DBS.300334" 400 User "sql_mode check failed." "sql_mode检查未通过。";
    DATA_NODE_LINK_FAILED "DBS.300335" 400 Dependency "Failed to obtain the RDS link." "获取数据节点连接失败。";
    PHYSICAL_DATABASE_MISSING "DBS.300336" 400 User "Physical database not found." "物理库不存在。";
    PRIMARY_KEY_CHECK_FAILED "DBS.300337" 400 User "Failed to check the primary key." "主键检查未通过。";
    DISABLE_STATEMENTS_FAILED "DBS.300338" 400 Internal "Failed to disable DDL or DML." "禁用DDL或DML失败。";
    SUBTASK_INSERT_FAILED "DBS.300339" 400 Internal "Failed to insert a scale-out subtask." "新增扩容子任务失败。";
    SUBTASK_INIT_FAILED "DBS.300340" 400 Internal "Failed to change statuses of scale-out subtasks to Initialization." "扩容子任务初始化失败。";
    SUBTASK_ISSUE_FAILED "DBS.300341" 400 Internal "Failed to issue a scale-out subtask." "下发扩容子任务失败。";
    SUBTASK_QUERY_FAILED "DBS.300342" 400 Internal "Failed to obtain scale-out subtasks." "获取扩容子任务失败。";
    SUBTASK_REMAINDER_INVALID "DBS.300343" 400 Internal "The volume of remaining subtask data is invalid." "子任务剩余数据量不合法。";
    TASK_STATE_CHECK_FAILED "DBS.300344" 400 Internal "Status check for scale-out task failed." "扩容任务状态检查失败。";
    TASK_INFORMATION_FAILED "DBS.300345" 400 Internal "Failed to obtain information about the scale-out task." "获取扩容任务信息失败。";
    PROCESS_INFORMATION_FAILED "DBS.300346" 400 Internal "Failed to obtain information about the DDM process." "获取DDM进程信息失败。";
    CONNECTION_CLOSE_FAILED "DBS.300347" 400 Internal "Failed to close the connection." "关闭连接失败。";
    VERIFICATION_SUBTASK_FAILED "DBS.300348" 400 Internal "Failed to obtain subtasks during data verification." "数据校验时获取子任务失败。";
    ROUTE_STATUS_FAILED "DBS.300349" 400 Internal "Failed to update the schema status during route switching." "路由切换时更新逻辑库状态失败。";
    REQUIRED_DATA_MISSING "DBS.300350" 400 Internal "The required data is not found." "未找到所需数据。";
    SUBTASK_ERROR_FAILED "DBS.300351" 400 Internal "Failed to change statuses of scale-out subtasks to Error." "扩容子任务置为错误状态失败。";
    SUBTASK_STOP_FAILED "DBS.300352" 400 Internal "Failed to change statuses of scale-out subtasks to Stop." "扩容子任务置为停止状态失败。";
    VERIFICATION_FAILED "DBS.300353" 400 Dependency "Data verification failed." "数据校验失败。";
    SUBTASK_COMPLETE_FAILED "DBS.300354" 400 Internal "Failed to change statuses of scale-out subtasks to Complete." "扩容子任务置为完成状态失败。";
    SCHEMA_CREATION_FAILED "DBS.300355" 400 Internal "Schema creation failed." "逻辑库创建失败。";
    DATA_NODE_CONNECT_FAILED "DBS.300356" 400 Dependency "Failed to connect to the RDS DB instance." "连接数据节点失败。";
    DATA_NODE_ADMIN_WRONG "DBS.300357" 400 User "The RDS instance administrator or password is incorrect." "数据节点的管理员账号或密码不正确。";
    SOURCE_NOT_CLEARED "DBS.300358" 400 Conflict "There is a schema where source data is not cleared." "存在未清理源数据的逻辑库。";
    NOT_SUPPORTED_BY_DATA_NODE "DBS.300360" 400 User "The associated instance does not support this operation." "关联的实例不支持该操作。";
    SCALING_METHOD_INVALID "DBS.300362" 400 User "The scaling method is invalid." "扩容方式不合法。";
    PRECHECK_FAILED "DBS.300363" 400 User "Pre-check failed." "预检查未通过。";
    DISK_CHECK_FAILED "DBS.300364" 400 Limit "Failed to check disk space of the DB instance." "数据节点磁盘空间检查未通过。";
    METADATA_UPDATE_FAILED "DBS.300365" 400 Internal "Failed to update metadata." "更新元数据失败。";
    TABLE_RENAME_FAILED "DBS.300366" 400 Dependency "Failed to rename physical tables during migration." "迁移时重命名物理表失败。";
    SOURCE_CLEAR_FAILED "DBS.300367" 400 Dependency "Failed to clear source data." "清理源数据失败。";
    LOWER_CASE_NAMES_WRONG "DBS.300368" 400 User "Parameter lower_case_table_names of the DB instance is invalid." "数据节点参数lower_case_table_names不合法，须为1。";
    ACCESS_CONTROL_FAILED "DBS.300369" 400 Internal "Failed to configure access control. Contact technical support." "配置访问控制失败，请联系技术支持。";
    BALANCING_NOT_ENABLED "DBS.300370" 400 User "Elastic load balancing is not enabled for the current DDM instance. To enable it, contact technical support." "当前实例未启用负载均衡。";
    TEST_INSTANCE_NOT_ALLOWED "DBS.300371" 400 User "Creating a test DDM instance is not supported. To enable this function, contact technical support." "不支持创建测试实例。";
    DESTINATION_INVALID "DBS.300372" 400 User "Invalid destination DDM instance." "目标实例不合法。";
    NAMED_PARAMETER_INVALID "DBS.300375" 400 User "Invalid {param}." "参数{param}不合法。";
    TIME_ZONE_INVALID "DBS.300376" 400 User "The time zone is invalid." "时区不合法。";
    TIME_RANGE_INVALID "DBS.300377" 400 User "Invalid time range." "时间范围不合法。";
    TASK_TYPE_WRONG "DBS.300379" 400 Conflict "The operation is not allowed for this type of tasks." "该类任务不允许此操作。";
    TASK_MISSING "DBS.300400" 400 User "The task is not found." "任务不存在。";
    ROUTE_TIME_UPDATE_FAILED "DBS.300401" 400 Internal "Failed to modify the automatic route switching time range." "修改自动路由切换时间失败。";
    ROUTE_SWITCH_FAILED "DBS.300402" 400 Internal "Failed to switch the route manually." "手动切换路由失败。";
    SCHEMA_NAME_LENGTH "DBS.300405" 400 User "The schema name length is invalid." "逻辑库名称长度不合法。";
    SCHEMA_NAME_KEYWORD "DBS.300406" 400 User "The schema name cannot contain keyword information_schema, mysql, performance_schema, or sys." "逻辑库名称不能包含关键字information_schema、mysql、performance_schema、sys。";
    SCHEMA_NAME_UPPERCASE "DBS.300407" 400 User "The schema name cannot contain uppercase letters." "逻辑库名称不能包含大写字母。";
    CONNECTIVITY_CHECK_FAILED "DBS.300408" 400 Dependency "Failed to check the RDS connectivity." "数据节点连通性检查失败。";
    INSUFFICIENT_PERMISSIONS "DBS.300541" 403 User "Insufficient permissions." "权限不足。";
    PARAMETER_TEMPLATE_INVALID "DBS.200057" 400 User "Invalid parameter template ID." "参数模板ID不合法。";
    SECURITY_GROUP_INVALID "DBS.280305" 400 User "Invalid security group ID." "安全组ID不合法。";

    SERVER_FAILURE "DBS.200412" 500 Internal "Server failure." "服务器内部错误。";
    UNAUTHORIZED "DBS.280401" 401 User "A valid token or signature is required." "需要有效的Token或签名。";
    NOT_FOUND "DBS.280404" 404 User "The requested resource could not be found." "请求的资源不存在。";
    METHOD_NOT_ALLOWED "DBS.280405" 405 User "The method is not allowed for this path." "该路径不支持此方法。";
    CONFLICT "DBS.280409" 409 Conflict "The request conflicts with the current state of the resource." "请求与资源当前状态冲突。";
    QUOTA_EXCEEDED "DBS.280413" 413 Limit "The request exceeds a limit or the resource quota." "请求超出限制或资源配额。";
    UNSUPPORTED_MEDIA_TYPE "DBS.280415" 415 User "The content type of the request must be application/json." "请求的Content-Type必须为application/json。";
    TOO_MANY_REQUESTS "DBS.280429" 429 Limit "Too many requests; try again later." "请求过于频繁，请稍后重试。";
    NOT_IMPLEMENTED "DBS.280501" 501 User "The server does not support the requested function." "服务器不支持所请求的功能。";
    UNAVAILABLE "DBS.280503" 503 Dependency "The service is unavailable; try again later." "服务暂不可用，请稍后重试。";
}
