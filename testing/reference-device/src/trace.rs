//! What happened to a device, as it saw it.

use std::fmt;

use crate::Plan;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraceEvent {
    /// It is online and has reported.
    Online,
    /// It asked for a plan.
    Asked,
    /// It was offered these components.
    Offered(Vec<Plan>),
    /// It reported a status of a component.
    Status(i64, String),
    /// It got what it needs for the download of a component.
    Url(String),
    /// It has all bytes of a component, and they match their MD5.
    Image(String, u64),
    /// It runs another version of a component now.
    Runs(String, String),
    /// It starts anew.
    Reboot,
    /// It has gone for good.
    Gone,
    /// Something went wrong.
    Trouble(String),
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TraceEvent::Online => f.write_str("online"),
            TraceEvent::Asked => f.write_str("asked for a plan"),
            TraceEvent::Offered(plans) => {
                f.write_str("offered")?;
                plans
                    .iter()
                    .try_for_each(|plan| write!(f, " {} {} -> {}", plan.component, plan.source, plan.target))
            }
            TraceEvent::Status(status, component) => write!(f, "status {status} of {component}"),
            TraceEvent::Url(component) => write!(f, "the URL of {component} has come"),
            TraceEvent::Image(component, bytes) => write!(f, "{bytes} bytes of {component}, as announced"),
            TraceEvent::Runs(component, version) => write!(f, "{component} runs {version}"),
            TraceEvent::Reboot => f.write_str("reboot"),
            TraceEvent::Gone => f.write_str("gone"),
            TraceEvent::Trouble(what) => f.write_str(what),
        }
    }
}

/// Everything that happened, in order.
pub type Trace = Vec<TraceEvent>;
