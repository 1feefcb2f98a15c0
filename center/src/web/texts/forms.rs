//! Texts that rules, engine and store make, by their form: `{}` stands for a value.

/// The text in Chinese, if one of the forms is its own.
pub fn chinese(forms: &[(&str, &str)], text: &str) -> Option<String> {
    forms.iter().find_map(|(english, chinese)| {
        let mut values = matches(english, text)?.into_iter();
        let mut said = String::new();
        for (index, part) in chinese.split("{}").enumerate() {
            if index > 0 {
                said.push_str(values.next().unwrap_or_default());
            }
            said.push_str(part);
        }
        Some(said)
    })
}

/// The values of `{}` in a text that has this form.
fn matches<'t>(form: &str, text: &'t str) -> Option<Vec<&'t str>> {
    let mut parts = form.split("{}").peekable();
    let mut rest = text.strip_prefix(parts.next()?)?;
    let mut values = Vec::new();
    while let Some(part) = parts.next() {
        // The last part is the end of the text, wherever else it stands.
        let end = match parts.peek() {
            None => rest.len().checked_sub(part.len()).filter(|end| rest.get(*end..) == Some(part))?,
            Some(_) => rest.find(part)?,
        };
        values.push(rest.get(..end)?);
        rest = rest.get(end + part.len()..)?;
    }
    rest.is_empty().then_some(values)
}

/// Names of fields and things, as errors have them.
pub const THINGS: &[(&str, &str)] = &[
    ("product", "产品"),
    ("product key", "产品标识"),
    ("product secret", "产品密钥"),
    ("device", "设备"),
    ("device key", "设备标识"),
    ("component", "组件"),
    ("components", "组件"),
    ("version", "版本号"),
    ("name", "名称"),
    ("remark", "备注"),
    ("file", "文件"),
    ("file name", "文件名"),
    ("files", "文件"),
    ("field", "字段"),
    ("source", "源版本"),
    ("target", "目标版本"),
    ("account", "账号"),
    ("token", "令牌"),
    ("token name", "令牌名称"),
    ("password", "密码"),
    ("days", "天数"),
    ("page", "页面"),
    ("version package", "版本包"),
    ("upgrade plan", "升级计划"),
    ("firmware verification", "固件验证"),
    ("device upgrade", "设备升级"),
    ("whitelist", "白名单"),
    ("blacklist", "黑名单"),
    ("time_zone", "时区"),
    ("time zone", "时区"),
    ("push_period", "推送时段"),
    ("push period", "推送时段"),
    ("time of day", "时刻"),
    ("start", "开始时间"),
    ("end", "结束时间"),
    ("from", "开始时间"),
    ("until", "结束时间"),
    ("planned end", "结束时间"),
    ("texts", "升级文案"),
    ("language", "语言"),
    ("number of retries", "重试次数"),
    ("strategy.retries", "重试次数"),
    ("delay after a refusal", "拒绝后再次下发的间隔"),
    ("strategy.refusal_delay", "拒绝后再次下发的间隔"),
    ("lowest RSRP", "最低 RSRP"),
    ("strategy.min_rsrp", "最低 RSRP"),
    ("minimum battery", "最低电量"),
    ("strategy.min_battery", "最低电量"),
    ("first devices", "首批设备数"),
    ("strategy.first_devices", "首批设备数"),
    ("devices in flight", "同时升级的设备数"),
    ("strategy.max_in_flight", "同时升级的设备数"),
    ("offers a minute", "每分钟开始数"),
    ("strategy.max_per_minute", "每分钟开始数"),
    ("failure rate that halts", "自动暂停的失败率"),
    ("finished devices before a halt", "自动暂停前的完成数"),
    ("strategy.halt", "自动暂停"),
    ("role", "角色"),
    ("admission", "准入方式"),
    ("products", "产品"),
    ("product {}", "产品 {}"),
    ("what belongs to no product of theirs", "不属于任何产品的内容"),
    ("devices", "设备"),
    ("plan", "计划"),
    ("upgrade plan of this device", "该设备的升级计划"),
    ("upgrade plan that concerns device", "涉及该设备的升级计划"),
    ("webhook", "Webhook"),
    ("webhook delivery", "Webhook 消息"),
    ("url", "地址"),
    ("events", "事件"),
    ("action", "操作"),
    ("path", "路径"),
    ("body", "请求正文"),
    ("limit", "每页条数"),
    ("after", "分页位置"),
    ("Range", "请求头 Range"),
    ("If-Match", "请求头 If-Match"),
    ("Idempotency-Key", "请求头 Idempotency-Key"),
];

/// Rules that a value breaks.
pub const RULES: &[(&str, &str)] = &[
    ("1 to 32 of the letters and digits and - _ . :", "1 至 32 个字母、数字或 - _ . :"),
    ("1 to 32 bytes, without : ; \" , and control characters", "1 至 32 字节，不含 : ; \" , 和控制字符"),
    ("1 to 64 bytes, without ; \" and control characters", "1 至 64 字节，不含 ; \" 和控制字符"),
    ("1 to 100 characters, no control characters", "1 至 100 个字符，不含控制字符"),
    ("at most 200 characters", "最多 200 个字符"),
    (
        "1 to 200 characters without / and \\, ending in {}",
        "1 至 200 个字符，不含 / 和 \\，并以下列之一结尾：{}",
    ),
    ("1 to 64 of the small letters and digits and - _ . @ +", "1 至 64 个小写字母、数字或 - _ . @ +"),
    ("1 to 64 of the letters and digits and - _ . @ + :", "1 至 64 个字母、数字或 - _ . @ + :"),
    ("16 to 32 printable ASCII characters without blank and ;", "16 至 32 个可见 ASCII 字符，不含空格和 ;"),
    ("1 to 32 letters and digits", "1 至 32 个字母或数字"),
    ("one of: {}", "必须是下列之一：{}"),
    ("an IANA name, such as Europe/Berlin or UTC", "须为 IANA 时区名，例如 Asia/Shanghai 或 UTC"),
    ("hours and minutes, 00:00 to 23:59", "时和分，00:00 至 23:59"),
    ("a language tag, such as en, zh or pt-BR", "须为语言标签，例如 en、zh 或 pt-BR"),
    ("0 to 10", "0 至 10"),
    ("10 to 1440 minutes", "10 至 1440 分钟"),
    ("-200 to 0 dBm", "-200 至 0 dBm"),
    ("0 to 100 %", "0 至 100 %"),
    ("0 to 99 %", "0 至 99 %"),
    ("1 or more", "须为 1 或更大"),
    ("a number from 1 to 3650", "须为 1 至 3650 的数"),
    ("later than the planned start", "须晚于计划的开始时间"),
    ("each component once", "每个组件只能出现一次"),
    ("it has passed, now is {}; set a later one", "已经过去，现在是 {}；请设置更晚的时间"),
    ("a name is no number: plans are named by either", "名称不能是纯数字：计划可用名称或编号指定"),
    ("the package is for component {} of product {}", "该版本包属于组件 {}（产品 {}）"),
    ("its character {} is U+{}, which nobody sees: take it out", "第 {} 个字符是不可见的 U+{}，请删除"),
    ("it begins with a blank (U+0020): take it out", "以空格开头，请删除"),
    ("it ends with a blank (U+0020): take it out", "以空格结尾，请删除"),
    (
        "give both, the share of failures and after how many finished devices it counts, or none",
        "失败率和起算的完成设备数须同时填写，或都不填",
    ),
    ("a push period has both its ends; leave both empty for all day", "推送时段须有起止时间；全天则都不填"),
    (
        "a text needs its language tag, such as pt-BR, and a tag its text",
        "文案须有语言标签（例如 pt-BR），标签须有文案",
    ),
    ("a list has at most {} device keys; split the plan", "名单最多 {} 个设备标识，请拆分计划"),
    ("choose one or more devices of the list", "请在列表中选择一台或多台设备"),
    ("a delta package needs the version that it fits on", "差分包须填写适用的源版本"),
    (
        "a delta package leads from one version to another; this is its target version too",
        "差分包的源版本和目标版本不能相同",
    ),
    (
        "it has {} in it; devices end a version at , : ; and \"",
        "含有 {}；设备以 , : ; 和 \" 作为版本号的结尾",
    ),
    (
        "a file has at most {} bytes (100 MB), {} or more were sent",
        "单个文件最多 {} 字节（100 MB），已发送 {} 字节",
    ),
    ("the file is empty; a file has 1 byte or more", "文件为空"),
    ("a package has 1 to {} files, none was sent", "版本包须有 1 至 {} 个文件，没有收到文件"),
    ("a field that is no file has at most {} bytes", "非文件字段最多 {} 字节"),
    ("it must be given", "必须填写"),
    ("10 characters or more", "至少 10 个字符"),
    ("256 bytes or less", "最多 256 字节"),
    ("it must not contain the account's name", "不能包含账号名"),
    ("not one character again and again", "不能只是同一个字符的重复"),
    ("it must differ from the one of before", "须与原密码不同"),
    (
        "it is connected, and would enter itself again: forbid it first, or switch it off",
        "设备在线，会再次登记：请先禁止它，或将其关机",
    ),
    ("a number from 0 to 365", "须为 0 至 365 的数"),
    ("there is a product with this key already", "已有使用该标识的产品"),
    (
        "it and product key {} begin alike; a key must not be the beginning of another one",
        "与产品标识 {} 的开头相同；一个标识不能是另一个的开头",
    ),
    ("product {} has this component already", "产品 {} 已有该组件"),
    ("version package {} is for it; delete or end that first", "版本包 {} 属于它；请先删除该版本包"),
    ("upgrade plan {} is for it; delete or end that first", "升级计划 {} 使用它；请先删除或结束该计划"),
    ("there is a plan with this name already", "已有同名的计划"),
    (
        "the product of a saved plan cannot be changed; create another plan",
        "已保存计划的产品不能更改；请新建计划",
    ),
    ("it is {}; only a saved plan is {}", "状态为 {}；只有已保存的计划可以这样做（{}）"),
    (
        "firmware verification {} uses it; wait for its end, at most an hour",
        "固件验证 {} 正在使用它；请等待其结束，最长一小时",
    ),
    ("upgrade plan {} uses it; delete or end the plan first", "升级计划 {} 正在使用它；请先删除或结束该计划"),
    (
        "a device still works with it in upgrade plan {}, which is over; wait for its end",
        "升级计划 {} 已结束，但仍有设备在使用它；请等待其结束",
    ),
    ("firmware verification {} has this device; wait for its end", "固件验证 {} 正占用该设备；请等待其结束"),
    ("{}; the package would prove nothing on this device", "{}；在该设备上验证没有意义"),
    ("there is an account with this name already, or it is the same person's", "已有该账号"),
    ("there is a token with this name already", "已有同名的令牌"),
    (
        "it is the last administrator of every product; make another one first",
        "它是最后一个全产品管理员；请先再建一个",
    ),
    (
        "the plan is {}; only in an active one are devices tried again or left out",
        "计划状态为 {}；只有进行中的计划可以重试或跳过设备",
    ),
    ("the product has no such device", "该产品没有这台设备"),
    ("the plan was not offered to it yet", "计划尚未下发到该设备"),
    (
        "it is {}; only a device that failed or was left out is tried again",
        "状态为 {}；只有失败或跳过的设备可以重试",
    ),
    ("it has confirmed and is at work; it cannot be called back", "设备已确认并在升级，无法撤回"),
    ("it is {} already", "已经是 {}"),
    (
        "an end user's token is for its devices alone: leave the products out",
        "最终用户令牌只针对设备：请不要填写产品",
    ),
    (
        "a token has a `role` (of a program) or `devices` (of an end user), one of both",
        "令牌须有 `role`（程序用）或 `devices`（最终用户用），二者取一",
    ),
    ("1 to {} devices, each as product/device", "1 至 {} 台设备，各写作“产品/设备”"),
    ("PRODUCT/DEVICE, the two keys", "须为“产品标识/设备标识”"),
    (
        "no device key in it: one a line is needed, in the first column",
        "没有设备标识：须每行一个，放在第一列",
    ),
    (
        "no device key in it; {}: leave it out, or clear it by null or DELETE (`none` on the command line)",
        "没有设备标识（{}）：请不要填写，或用 null、DELETE（命令行用 `none`）清空",
    ),
    ("a text has no NUL character (U+0000) in it", "文本不能含有 NUL 字符（U+0000）"),
    ("a CSV file is UTF-8 text", "CSV 文件须为 UTF-8 文本"),
    ("the body is not the JSON that belongs here: {}", "请求正文不是此处所需的 JSON：{}"),
    ("the file has every row: leave it out", "文件包含所有行：请不要填写"),
    (
        "1 to {} visible ASCII characters, another one for each request",
        "1 至 {} 个可见 ASCII 字符，每个请求各用一个",
    ),
    (
        "this key was sent with another request: a new request needs a new key",
        "该键已用于另一个请求：新请求须用新的键",
    ),
    ("it was changed meanwhile, its ETag is {}", "其间已被更改，现在的 ETag 是 {}"),
    ("there is nothing here that has an ETag", "此处没有带 ETag 的内容"),
    ("the file has no such part", "文件没有这一部分"),
    ("a field may be given once", "每个字段只能出现一次"),
    ("a field must be UTF-8 text", "字段须为 UTF-8 文本"),
    ("the fields are {}", "可用的字段是：{}"),
    ("a number from 1 to {}", "须为 1 至 {} 的数"),
    ("the `next` of the page before", "须为上一页的 `next`"),
    (
        "the plan is created in product {}, which the path names: leave the field out",
        "计划建在路径所指的产品 {} 中：请不要填写该字段",
    ),
    ("the plan is not valid: {}", "计划无效：{}"),
    ("a plan has no such field", "计划没有这个字段"),
    ("it is an object, with its fields by name", "须为带字段名的对象"),
    (
        "there is no version package {}; `package list` shows those there are",
        "没有版本包 {}；`package list` 列出现有的版本包",
    ),
    ("at most {} device keys in one request", "一次请求最多 {} 个设备标识"),
    (
        "say which: either `devices`, a list of device keys, or `filter`, with `state` and `reason`",
        "请指明设备：用 `devices`（设备标识列表）或 `filter`（`state` 和 `reason`）",
    ),
    (
        "an appointment names its window, `from` and `until`, in Unix milliseconds",
        "预约须有起止时间 `from` 和 `until`（Unix 毫秒）",
    ),
    ("only an appointment has a window, {} has none", "只有预约有起止时间，{} 没有"),
    ("version package {} is for component {}", "版本包 {} 属于组件 {}"),
    (
        "at least one; leave the field out for everything, or switch the webhook off",
        "至少一个；要接收全部事件请不要填写，或停用该 Webhook",
    ),
    ("it is switched off: switch it on first", "已停用：请先启用"),
    ("its components have changed", "其组件已更改"),
    ("there is a webhook with this name already", "已有同名的 Webhook"),
    (
        "there are {} webhooks already, which is the most; delete one first",
        "已有 {} 个 Webhook，达到上限；请先删除一个",
    ),
    ("a package has at most {} files", "版本包最多 {} 个文件"),
    ("a package for an MCU component has exactly one file", "MCU 组件的版本包只能有一个文件"),
    (
        "its secret is this one already; give another one, or none to have one made",
        "产品密钥已是这一个；请另给一个，或不填由系统生成",
    ),
    (
        "component {} is the module already, and a device has one; make this one an MCU's, or delete that one",
        "组件 {} 已是模组，一台设备只有一个；请将此组件设为 MCU，或删除那一个",
    ),
    ("{} {} is for it; delete or end that first", "{} {} 与它有关；请先删除或结束"),
    ("a date and time, as in 2026-03-01T02:00", "须为日期和时间，例如 2026-03-01T02:00"),
    ("a whole number", "须为整数"),
    ("it may have 1024 characters", "最多 1024 个字符"),
    ("a URL, as https://example.org/quecota", "须为 URL，例如 https://example.org/quecota"),
    (
        "a name or password in it would be shown with it; the signature says who sends",
        "地址中的用户名或密码会随地址显示；发送方由签名证明，请删除",
    ),
    ("a fragment (#) is not sent", "片段（#）不会发送，请删除"),
    ("it has no host", "缺少主机名"),
    ("it begins with https://", "须以 https:// 开头"),
    (
        "it leads to an address that is not of the public internet; if the receiver is there, whoever runs the center starts it with --webhook-network and that address or network",
        "指向的地址不在公网；如接收方确在那里，请由中心的管理者用 --webhook-network 加上该地址或网络启动",
    ),
    (
        "https:// is needed; http:// goes to the networks of --webhook-network alone",
        "须用 https://；http:// 只能用于 --webhook-network 的网络",
    ),
];

/// Whole messages.
pub const MESSAGES: &[(&str, &str)] = &[
    ("a plan that is {} does not take \"{}\"", "状态为 {} 的计划不接受“{}”"),
    (
        "time zone {} is not known to this version of the center; set another one",
        "本版本不认识时区 {}；请另选一个",
    ),
    (
        "no component is selected: add at least one component with its version package",
        "没有选择组件：请至少选择一个组件及其版本包",
    ),
    (
        "component {}: version package {} does not exist; select another one",
        "组件 {}：版本包 {} 不存在，请另选一个",
    ),
    (
        "component {}: version package {} is for component {} of product {}",
        "组件 {}：版本包 {} 属于其他组件 {}（产品 {}）",
    ),
    (
        "component {}: version package {} has passed no firmware verification; verify it on a device, or let the plan not require it",
        "组件 {}：版本包 {} 尚未验证；请先在设备上验证，或让计划不要求验证",
    ),
    (
        "component {}: version package {} failed its last firmware verification; verify it on a device, or let the plan not require it",
        "组件 {}：版本包 {} 最近一次验证失败；请重新验证，或让计划不要求验证",
    ),
    ("the planned end {} has passed; set a later one", "计划的结束时间 {} 已过；请设置更晚的时间"),
    ("manual mode needs the upgrade text in language {}", "手动升级须有语言 {} 的升级文案"),
    (
        "component {} is in plan {} ({}) too, which is active: activate this one with --supersede (over REST: {\"supersede\": \"agreed\"}), and it supersedes that plan",
        "组件 {} 也在进行中的计划 {}（{}）里：勾选“取代上述计划”后再激活",
    ),
    ("plan {} ({}), for component {}", "计划 {}（{}），组件 {}"),
    (
        "component {}: {} devices report a later version than {} (for example {}: {}); the full package takes them back",
        "组件 {}：{} 台设备的版本高于 {}（例如 {}：{}）；全量包会使其降级",
    ),
    (
        "component {}: {} of the {} devices looked at report a later version than {} (for example {}: {}); the full package takes them back",
        "组件 {}：抽查中 {} / {} 台设备的版本高于 {}（例如 {}：{}）；全量包会使其降级",
    ),
    ("no device with this key has ever connected", "没有使用该标识的设备连接过"),
    ("it was offered the plan already, or is at work", "已下发该计划，或正在升级"),
    ("{} devices may start at once, by the plan's limits", "按计划的上限，只有 {} 台可以立即开始"),
    ("upgrade plan {} is silent: it asks nobody", "升级计划 {} 是静默升级，不需要确认"),
    (
        "upgrade plan {} is {}: only a plan that is activated takes this",
        "升级计划 {} 的状态为 {}：只有已激活的计划接受此操作",
    ),
    ("upgrade plan {} has nothing for this device: {}", "升级计划 {} 对该设备没有可升级的内容：{}"),
    ("component {} is at {} already: there is nothing to appoint", "组件 {} 已处于 {}：无需预约"),
    (
        "component {} is being upgraded with what the device has fetched; nothing stops it now",
        "组件 {} 正在升级，现在无法停止",
    ),
    ("the device is at its end in upgrade plan {}: {}", "设备在升级计划 {} 中已结束：{}"),
    (
        "nothing has failed for good in upgrade plan {} on this device; only a failed upgrade is retried",
        "该设备在升级计划 {} 中没有最终失败；只有失败的升级可以重试",
    ),
    (
        "the window from {} until {} leaves {} minutes from now on; at least 60 are needed",
        "时段 {} 至 {} 从现在起只剩 {} 分钟；至少需要 60 分钟",
    ),
    ("the window opens at {}, before the planned time begins at {}", "时段 {} 早于计划的开始时间 {}"),
    ("the window closes at {}, after the planned time ends at {}", "时段结束于 {}，晚于计划的结束时间 {}"),
    (
        "the push period is closed during the whole window from {}; it opens at {}",
        "自 {} 起的整个时段都不在推送时段内；推送时段于 {} 开放",
    ),
    ("no upgrade plan of this device takes this now", "该设备现在没有接受此操作的升级计划"),
    ("several upgrade plans take this, {}: say which", "有多个升级计划接受此操作（{}）：请指明是哪一个"),
    ("the session is over: sign in again", "会话已结束：请重新登录"),
    ("the password is a one-time one: change it first", "这是一次性密码：请先修改"),
    (
        "{} has the role {}, and this needs the role {}: ask an administrator",
        "{} 的角色是 {}，此操作需要角色 {}：请联系管理员",
    ),
    (
        "{} may not work with {}: ask an administrator for that product",
        "{} 无权操作 {}：请向管理员申请该产品",
    ),
    (
        "the center's disk is full, nothing of this was kept: free some space and send it again",
        "中心的磁盘已满，内容没有保存：请腾出空间后重发",
    ),
    (
        "the center's database is not available now; try again in a moment",
        "中心的数据库暂时不可用，请稍后再试",
    ),
    ("the center could not do this; its log says why", "中心无法完成此操作；原因见其日志"),
    (
        "the form breaks off or is malformed, nothing of it was kept: {}",
        "表单中断或格式有误，内容没有保存：{}",
    ),
    ("no byte came for {} s; nothing of this upload was kept", "{} 秒没有收到数据；本次上传没有保存"),
    (
        "{} streams of events are open, which is the most; try again later",
        "已有 {} 条实时连接，达到上限；请稍后再试",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_by_its_form() {
        assert_eq!(matches("the plan has ended", "the plan has ended"), Some(vec![]));
        assert_eq!(matches("battery {} % < {} %", "battery 17 % < 30 %"), Some(vec!["17", "30"]));
        assert_eq!(matches("refused: {}", "refused: no"), Some(vec!["no"]));
        assert_eq!(matches("refused", "refused: no"), None);
        assert_eq!(matches("{}; it would", "a; it would; it would"), Some(vec!["a; it would"]));
        assert_eq!(matches("a {} b", "a"), None);
    }

    #[test]
    fn every_form_has_as_many_values_in_both_languages() {
        for (english, chinese) in [THINGS, RULES, MESSAGES].concat() {
            assert_eq!(english.matches("{}").count(), chinese.matches("{}").count(), "{english}");
        }
    }
}
