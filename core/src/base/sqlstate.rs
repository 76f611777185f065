//! The one place where an error gets its SQLSTATE (PostgreSQL 15, appendix A).

/// Declares the codes with their five characters.
macro_rules! states {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// A SQLSTATE: what programs decide by.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum SqlState { $($(#[$doc])* $name,)* }

        impl SqlState {
            /// Every code this server can send.
            pub const ALL: &'static [SqlState] = &[$(SqlState::$name,)*];

            /// The five characters.
            pub fn code(self) -> &'static str {
                match self { $(SqlState::$name => $code,)* }
            }

            /// The state with these five characters, if this server knows it.
            pub fn from_code(code: &str) -> Option<SqlState> {
                match code { $($code => Some(SqlState::$name),)* _ => None }
            }
        }
    };
}

states! {
    SuccessfulCompletion = "00000",
    Warning = "01000",
    ConnectionException = "08000",
    ConnectionFailure = "08006",
    TransactionResolutionUnknown = "08007",
    ProtocolViolation = "08P01",
    FeatureNotSupported = "0A000",
    CardinalityViolation = "21000",
    DataException = "22000",
    StringDataRightTruncation = "22001",
    NumericValueOutOfRange = "22003",
    NullValueNotAllowed = "22004",
    InvalidDatetimeFormat = "22007",
    DatetimeFieldOverflow = "22008",
    InvalidTimeZoneDisplacement = "22009",
    DivisionByZero = "22012",
    InvalidArgumentForLogarithm = "2201E",
    InvalidArgumentForPower = "2201F",
    InvalidRowCountInLimit = "2201W",
    InvalidRowCountInOffset = "2201X",
    CharacterNotInRepertoire = "22021",
    InvalidParameterValue = "22023",
    StringDataLengthMismatch = "22026",
    SubstringError = "22011",
    InvalidEscapeSequence = "22025",
    InvalidRegularExpression = "2201B",
    ArraySubscriptError = "2202E",
    InvalidTextRepresentation = "22P02",
    InvalidBinaryRepresentation = "22P03",
    UntranslatableCharacter = "22P05",
    IntegrityConstraintViolation = "23000",
    NotNullViolation = "23502",
    ForeignKeyViolation = "23503",
    UniqueViolation = "23505",
    CheckViolation = "23514",
    InvalidTransactionState = "25000",
    ActiveSqlTransaction = "25001",
    ReadOnlySqlTransaction = "25006",
    NoActiveSqlTransaction = "25P01",
    InFailedSqlTransaction = "25P02",
    InvalidSqlStatementName = "26000",
    InvalidAuthorizationSpecification = "28000",
    InvalidPassword = "28P01",
    DependentObjectsStillExist = "2BP01",
    InvalidCursorName = "34000",
    InvalidCatalogName = "3D000",
    InvalidSchemaName = "3F000",
    SerializationFailure = "40001",
    StatementCompletionUnknown = "40003",
    DeadlockDetected = "40P01",
    SyntaxErrorOrAccessRuleViolation = "42000",
    SyntaxError = "42601",
    InsufficientPrivilege = "42501",
    CannotCoerce = "42846",
    GroupingError = "42803",
    WindowingError = "42P20",
    InvalidForeignKey = "42830",
    InvalidName = "42602",
    NameTooLong = "42622",
    ReservedName = "42939",
    DatatypeMismatch = "42804",
    IndeterminateDatatype = "42P18",
    WrongObjectType = "42809",
    UndefinedColumn = "42703",
    UndefinedFunction = "42883",
    UndefinedTable = "42P01",
    UndefinedParameter = "42P02",
    AmbiguousParameter = "42P08",
    UndefinedObject = "42704",
    DuplicateColumn = "42701",
    DuplicateCursor = "42P03",
    DuplicateDatabase = "42P04",
    DuplicatePreparedStatement = "42P05",
    DuplicateSchema = "42P06",
    DuplicateTable = "42P07",
    DuplicateAlias = "42712",
    DuplicateObject = "42710",
    AmbiguousColumn = "42702",
    AmbiguousFunction = "42725",
    InvalidColumnReference = "42P10",
    InvalidColumnDefinition = "42611",
    InvalidTableDefinition = "42P16",
    InvalidObjectDefinition = "42P17",
    InsufficientResources = "53000",
    DiskFull = "53100",
    OutOfMemory = "53200",
    TooManyConnections = "53300",
    ConfigurationLimitExceeded = "53400",
    ProgramLimitExceeded = "54000",
    StatementTooComplex = "54001",
    TooManyColumns = "54011",
    TooManyArguments = "54023",
    ObjectNotInPrerequisiteState = "55000",
    ObjectInUse = "55006",
    CantChangeRuntimeParam = "55P02",
    LockNotAvailable = "55P03",
    QueryCanceled = "57014",
    AdminShutdown = "57P01",
    CrashShutdown = "57P02",
    CannotConnectNow = "57P03",
    IoError = "58030",
    InternalError = "XX000",
    DataCorrupted = "XX001",
}
