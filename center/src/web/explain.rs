//! Why a device waits, until when, and what changes that: in the language of the page.

use maud::{Markup, html};

use super::parts::{component_word, upgrade_word};
use super::texts::forms;
use super::view::{Lang, View};
use crate::engine::Why;
use crate::rules::block_reason::{BlockReason, Verifying, Wait};
use crate::rules::device_status::{Asks, DeviceStatus};
use crate::rules::plan::{Mode, PlanState, Push};
use crate::rules::progress::ComponentState;
use crate::rules::window::Zone;
use crate::store::Plan;

/// Where a device stands in a plan, as one sentence.
pub fn sentence(view: &View, status: &DeviceStatus, zone: &Zone) -> String {
    match view.lang {
        Lang::En => match status {
            // States by the names that they have elsewhere on the page.
            DeviceStatus::Blocked(BlockReason::Finished { state, reason }) => {
                let why = reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                format!("The device has finished this plan: {}{why}", upgrade_word(*state))
            }
            DeviceStatus::Blocked(BlockReason::PlanState { state, halted: None }) => {
                format!("The plan is {}", plan_word(*state))
            }
            _ => capital(&status.told(zone, view.now)),
        },
        Lang::Zh => chinese(view, status, zone),
    }
}

/// The whole answer about one plan: sentence, time and what changes it.
pub fn answer(view: &View, status: &DeviceStatus, zone: &Zone, last_attempt: Option<&str>) -> Markup {
    let has_finished = matches!(status, DeviceStatus::Blocked(BlockReason::Finished { .. }));
    html! {
        p.why { (sentence(view, status, zone)) }
        dl.facts {
            @if !has_finished {
                dt { (view.t("May change")) }
                dd {
                    @match status.may_change() {
                        Some(at) => { (view.time_in(zone, at)) ", " b { (view.away(at)) } }
                        None => { (view.t("at no certain time, only by an event")) }
                    }
                }
            }
            dt { (view.t("Changes with")) }
            dd { (view.t(status.changes_with())) }
            @if let Some(last) = last_attempt && !has_finished {
                dt { (view.t("Last attempt")) }
                dd { (reason(view, last)) }
            }
        }
    }
}

/// The answer about one plan of several.
pub fn of_plan(view: &View, why: &Why) -> Markup {
    answer(view, &why.status, &why.plan.settings.time_zone, why.last_attempt.as_deref())
}

/// What an active plan as a whole waits for, and until when.
pub fn plan(view: &View, plan: &Plan) -> Markup {
    let settings = &plan.settings;
    let zone = &settings.time_zone;
    let now = view.now;
    let (words, at) = match plan.state {
        PlanState::Activated | PlanState::Upgrading => match (settings.start, settings.push_period) {
            (Some(start), _) if start > now => ("Its planned time begins", Some(start)),
            (_, Some(period)) if !period.contains(now, zone) => {
                ("It is outside its push period, which opens", Some(period.opens(now, zone)))
            }
            _ if settings.mode == Mode::Manual => {
                ("A device is offered it once its end user has confirmed.", None)
            }
            _ if settings.push == Push::OnRequest => ("A device is offered it when it asks.", None),
            _ => (
                "Due devices that are online are offered it from the next 10-minute mark on:",
                Some(zone.next_mark(now)),
            ),
        },
        _ => return html! {},
    };
    html! { p.wait { (view.t(words)) @if let Some(at) = at { " " (view.time_in(zone, at)) ", " b { (view.away(at)) } } } }
}

/// A condition in a few words, for counts of devices; an unknown one as it is called.
pub fn condition(view: &View, condition: &'static str) -> &'static str {
    let english = match condition {
        "under_way" => "Offered or at work",
        "behind" => "Another plan comes first",
        "due" => "Nothing holds it back",
        "other_product" => "Of another product",
        "blacklisted" => "On the blacklist",
        "not_whitelisted" => "Not on the whitelist",
        "finished" => "At its end in this plan",
        "plan_state" => "The plan is not offered now",
        "zone_unknown" => "Time zone unknown",
        "on_request_only" => "Offered on request only",
        "before_start" => "Planned time has not come",
        "after_end" => "Planned time has passed",
        "outside_push_period" => "Outside the push period",
        "offline" => "Offline",
        "versions_unknown" => "Versions not reported yet",
        "at_target" => "Has the target version",
        "component_unknown" => "Does not report the component",
        "source_differs" => "Delta package does not fit",
        "superseded" => "A newer plan takes its place",
        "retries_used" => "No attempt left",
        "refused" => "Refused, offered again later",
        "failed_waiting" => "Failed, offered again later",
        "other_upgrade" => "Another upgrade is at work",
        "verification" => "Being verified",
        "awaiting_user" => "Waits for the end user",
        "appointed" => "Appointed by the end user",
        "battery" => "Battery too low",
        "rsrp" => "Signal too weak",
        "first_devices" => "Waits for the first devices",
        "in_flight" | "in_flight_limit" => "Limit of devices at work",
        "per_minute" | "per_minute_limit" => "Limit of starts a minute",
        "never_connected" => "Has never connected",
        other => return other,
    };
    view.t(english)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn plan_word(state: PlanState) -> &'static str {
    match state {
        PlanState::Saved => "Saved",
        PlanState::Activated => "Activated",
        PlanState::Upgrading => "Upgrading",
        PlanState::Suspended => "Suspended",
        PlanState::Terminated => "Terminated",
        PlanState::Ended => "Ended",
    }
}

fn chinese(view: &View, status: &DeviceStatus, zone: &Zone) -> String {
    let at = |at| {
        let clock = format!("{} {zone}", zone.clock(at, "%Y-%m-%d %H:%M"));
        if at > view.now { format!("{clock}\u{ff08}{}\u{ff09}", view.away(at)) } else { clock }
    };
    match status {
        DeviceStatus::UnderWay { component, state, until } => {
            let work = match state {
                ComponentState::PlanNotReceived => "已下发计划，设备尚未应答".to_owned(),
                ComponentState::PlanReceived => "已下发计划，设备尚未确认".to_owned(),
                state => format!("处于“{}”", view.t(component_word(*state))),
            };
            match until {
                Some(until) => format!("组件 {component} {work}；最迟等到 {}", at(*until)),
                None => format!("组件 {component} {work}"),
            }
        }
        DeviceStatus::Behind { plan } => format!("该设备上计划 {plan} 优先"),
        DeviceStatus::Due { at: by, asks: Asks::First } => {
            format!("没有已知的阻碍；最迟 {} 查询电量和信号", at(*by))
        }
        DeviceStatus::Due { at: by, asks: Asks::Nothing } => format!("没有阻碍；最迟 {} 下发", at(*by)),
        DeviceStatus::Blocked(blocked) => match blocked {
            BlockReason::OtherProduct { product } => format!("该计划属于产品 {product}"),
            BlockReason::Blacklisted => "设备在该计划的黑名单中".to_owned(),
            BlockReason::NotWhitelisted => "设备不在该计划的白名单中".to_owned(),
            BlockReason::Finished { state, reason: why } => {
                let why = why.as_deref().map(|why| format!("（{}）", reason(view, why))).unwrap_or_default();
                format!("设备在该计划中已结束：{}{why}", view.t(upgrade_word(*state)))
            }
            BlockReason::PlanState { state, halted: None } => {
                format!("计划状态为“{}”", view.t(plan_word(*state)))
            }
            BlockReason::PlanState { state, halted: Some(why) } => {
                format!("计划已自动变为“{}”：{}", view.t(plan_word(*state)), reason(view, why))
            }
            BlockReason::ZoneUnknown { zone } => format!("本版本不认识该计划的时区 {zone}"),
            BlockReason::OnRequestOnly => "该计划只在设备请求时下发".to_owned(),
            BlockReason::BeforeStart { start } => format!("计划时间尚未开始，{} 开始", at(*start)),
            BlockReason::AfterEnd { end } => format!("计划时间已于 {} 结束", at(*end)),
            BlockReason::OutsidePeriod { opens, period, .. } => {
                format!("不在推送时段 {period} 内，{} 开放", at(*opens))
            }
            BlockReason::Offline => "设备离线".to_owned(),
            BlockReason::VersionsUnknown => "设备本次连接后尚未上报版本".to_owned(),
            BlockReason::AtTarget => "所有组件已是目标版本".to_owned(),
            BlockReason::ComponentUnknown { component } => format!("设备没有上报组件 {component} 的版本"),
            BlockReason::SourceDiffers { component, reported, source } => {
                format!("组件 {component} 的版本是 {reported}，差分包需要 {source}")
            }
            BlockReason::Superseded { component, by } => format!("组件 {component} 已由计划 {by} 取代"),
            BlockReason::RetriesUsed { failures, retries } => {
                format!("已失败 {failures} 次，计划允许重试 {retries} 次")
            }
            BlockReason::Waiting { wait: Wait::Refusal, until } => {
                format!("设备已拒绝；{} 再次下发", at(*until))
            }
            BlockReason::Waiting { wait: Wait::Failure, until } => {
                format!("尝试失败；{} 再次下发", at(*until))
            }
            BlockReason::OtherUpgrade { upgrade } => format!("设备正在进行升级 {upgrade}"),
            BlockReason::Verification(Verifying { verification, package, until }) => {
                format!("版本包 {package} 的固件验证 {verification} 占用该设备，最迟到 {}", at(*until))
            }
            BlockReason::AwaitingUser { missed: None } => "等待用户确认".to_owned(),
            BlockReason::AwaitingUser { missed: Some(until) } => {
                format!("等待用户确认：预约的时段已于 {} 结束", at(*until))
            }
            BlockReason::Appointed { from, .. } => format!("已预约 {}", at(*from)),
            BlockReason::Battery { reported, needed } => format!("电量 {reported} % 低于 {needed} %"),
            BlockReason::Rsrp { reported, needed } => format!("RSRP {reported} dBm 低于 {needed} dBm"),
            BlockReason::FirstDevices { first, finished } => {
                format!("首批 {first} 台设备优先，其中 {finished} 台已结束")
            }
            BlockReason::InFlight { limit } => format!("已有 {limit} 台设备在升级，达到计划的上限"),
            BlockReason::PerMinute { limit, until } => {
                format!("最近一分钟已开始 {limit} 台，达到计划的上限；下一台在 {}", at(*until))
            }
        },
    }
}

/// Reasons as they stand in the log, with what they are in Chinese; `{}` stands for a value.
pub(super) const REASONS: &[(&str, &str)] = &[
    ("the plan was terminated before it was offered", "计划在下发前已终止"),
    ("the plan was terminated", "计划已终止"),
    ("the plan has ended", "计划已到期结束"),
    ("cancelled by user", "用户已取消"),
    ("the device reports a failed download (status 6)", "设备上报下载失败（状态 6）"),
    ("the device reports a failed download (status 6): {}", "设备上报下载失败（状态 6）：{}"),
    ("the device reports a failed upgrade (status 12)", "设备上报升级失败（状态 12）"),
    ("the device reports a failed upgrade (status 12): {}", "设备上报升级失败（状态 12）：{}"),
    (
        "the device reports a failed upgrade (status 12) after it began anew",
        "设备重新启动后上报升级失败（状态 12）",
    ),
    ("the device reports another version than the target after the upgrade", "升级后设备上报的不是目标版本"),
    ("no word from the device in time while it was {}", "设备在“{}”时超时无上报"),
    ("the device began anew while it was {}", "设备在“{}”时重新启动"),
    ("the device refused", "设备已拒绝"),
    ("the device refused: {}", "设备已拒绝：{}"),
    ("reported {} after success", "成功后又上报 {}"),
    ("left out by the operator", "运维人员已跳过"),
    ("left out by the operator: {}", "运维人员已跳过：{}"),
    ("not finished within {} minutes; the device {}", "{} 分钟内没有完成；设备 {}"),
    ("{} of {} finished devices failed, more than {} %", "已结束设备的失败数 {} / {}，超过 {} %"),
    ("the device is offline", "设备离线"),
    ("waits for the user's confirmation", "等待用户确认"),
    ("refused; offered again at {}", "已拒绝；{} 再次下发"),
    ("failed; offered again at {}", "失败；{} 再次下发"),
    ("battery {} % < {} %", "电量 {} % 低于 {} %"),
    ("RSRP {} dBm < {} dBm", "RSRP {} dBm 低于 {} dBm"),
];

/// A reason of the log in the language of the page; one that the table does not have stays as it is.
pub fn reason(view: &View, text: &str) -> String {
    let chinese = (view.lang == Lang::Zh).then(|| forms::chinese(REASONS, text)).flatten();
    let text = chinese.as_deref().unwrap_or(text);
    let words = text.split(' ').map(|word| view.moment(word).unwrap_or_else(|| word.to_owned()));
    words.collect::<Vec<_>>().join(" ")
}
