//! A self-hosted Developer Center for OTA (DESIGN: `quecota-center`).
#![forbid(unsafe_code)]
