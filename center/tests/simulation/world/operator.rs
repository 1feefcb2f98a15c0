//! What operators do: plans are made, changed, suspended, ended.

use super::*;

impl World {
    pub(super) async fn create_plan(&mut self) {
        let number = self.plans.len();
        let count = self.gadgets.len();
        let now = self.now();
        let chance = &mut self.chance;
        let component = chance.below(2);
        let mut some = |one_in: usize| -> BTreeSet<usize> {
            let all = chance.sometimes(one_in, |chance| (0..count).filter(|_| chance.one_in(2)).collect());
            all.unwrap_or_default()
        };
        let (white, black) = (some(4), some(4));
        let settings = model::Settings {
            component,
            target: format!("v{number}"),
            source: chance.sometimes(5, |chance| chance.of(&["1", "v0"]).to_owned()),
            on_request: chance.one_in(3),
            answers_outside: chance.one_in(3),
            period: chance.sometimes(3, |chance| {
                chance.of(&[(9 * 60, 17 * 60), (22 * 60, 4 * 60), (15 * 60, 17 * 60 + 30), (0, 16 * 60)])
            }),
            start: chance.sometimes(6, |_| now + 20 * MINUTE),
            end: chance.sometimes(4, |chance| now + chance.of(&[30 * MINUTE, 3 * HOUR, 30 * HOUR])),
            white,
            black,
            retries: chance.of(&[0, 1, 1, 2]),
            refusal_delay: chance.of(&[10 * MINUTE, 120 * MINUTE]),
            first: chance.sometimes(5, |chance| 1 + chance.below(2)),
            halt: chance.sometimes(4, |chance| chance.of(&[(0, 1), (30, 2), (60, 2)])),
            in_flight: chance.sometimes(4, |chance| 1 + chance.below(2)),
            per_minute: chance.sometimes(5, |chance| 1 + chance.below(2)),
        };
        let no = ComponentNo::new(COMPONENTS[component]).unwrap();
        let version = |text: &str| Version::new(text).unwrap();
        let package = NewPackage {
            product: pk(),
            component: no.clone(),
            name: Title::new("spring").unwrap(),
            kind: match &settings.source {
                None => PackageKind::Full,
                Some(source) => PackageKind::Delta { source: version(source) },
            },
            target: version(&settings.target),
            remark: Remark::new("").unwrap(),
            files: vec![PackageFile {
                name: FileName::new("0.bin").unwrap(),
                size: 1_000_000,
                digests: Digests { md5: [7; 16], crc32: 1, sha256: [9; 32] },
                object: "object".into(),
            }],
        };
        let mut writer = self.store.write().await.unwrap();
        let package = writer.create_package(package, Millis(now)).await.unwrap().id.0;
        writer.commit().await.unwrap();
        let time = |minutes: i64| TimeOfDay::from_minutes(minutes).unwrap();
        let title = Title::new(format!("plan {number}")).unwrap();
        let zone = "Asia/Kathmandu".parse().unwrap();
        let selected = vec![PlanComponent { component: no, package }];
        let mut entered = PlanSettings::new(title, pk(), zone, selected);
        entered.push = if settings.on_request { Push::OnRequest } else { Push::Actively };
        if settings.answers_outside {
            entered.outside_period = OutsidePeriod::Answer;
        }
        entered.push_period =
            settings.period.map(|(from, until)| PushPeriod { from: time(from), until: time(until) });
        entered.start = settings.start.map(Millis);
        entered.end = settings.end.map(Millis);
        entered.strategy = Strategy {
            retries: settings.retries as u8,
            refusal_delay: (settings.refusal_delay / MINUTE) as u16,
            first_devices: settings.first.map(|count| count as u32),
            halt: settings.halt.map(|(percent, after)| Halt { percent: percent as u8, after: after as u32 }),
            max_in_flight: settings.in_flight.map(|count| count as u32),
            max_per_minute: settings.per_minute.map(|count| count as u32),
            ..Strategy::default()
        };
        let keys = |devices: &BTreeSet<usize>| -> Vec<DeviceKey> {
            devices.iter().map(|device| DeviceKey::new(format!("d{device}")).unwrap()).collect()
        };
        let (white, black) = (keys(&settings.white), keys(&settings.black));
        let plan = self.engine.create_plan(&entered, &white, &black).await.unwrap();
        self.note(|| format!("plan {number} is saved: {settings:?}"));
        self.plans.push(plan.id);
        self.model.plans.push(model::Plan {
            settings,
            life: Life::Saved,
            resumes_to: Life::Activated,
            activated: 0,
            superseded_by: Vec::new(),
            finished: 0,
            failed: 0,
            starts: Vec::new(),
            unreached: 0,
        });
    }

    /// Something that the operator may do, or may not: both must be as the life of a plan says.
    pub(super) async fn operate(&mut self) -> Checked {
        let index = self.chance.below(self.plans.len());
        let (id, life, now) = (self.plans[index], self.model.plans[index].life, self.now());
        let armed = self.arm().await;
        let wish = match life {
            Life::Saved => 0,
            Life::Suspended => self.chance.of(&[2, 2, 2, 3]),
            _ => self.chance.of(&[0, 1, 1, 2, 3]),
        };
        let (what, done, allowed) = match wish {
            0 => {
                let past = self.model.plans[index].settings.end.is_some_and(|end| end <= now);
                let done = self.engine.activate(id, Supersede::Agreed).await;
                ("activate", done, life == Life::Saved && !past)
            }
            1 => ("suspend", self.engine.suspend(id).await, life.offers()),
            2 => ("resume", self.engine.resume(id).await, life == Life::Suspended),
            _ => {
                let runs = life.offers() || life == Life::Suspended;
                ("terminate", self.engine.terminate(id).await, runs)
            }
        };
        self.note(|| format!("{what} plan {index}: {}", if done.is_ok() { "done" } else { "refused" }));
        let killed = armed.is_some() && matches!(&done, Err(EngineError::Store(_)));
        if done.is_ok() != allowed && !killed {
            return Err(format!("{what} plan {index}, which is {life:?}: {done:?}"));
        }
        if done.is_ok() {
            match wish {
                0 => self.model.activate(index, now),
                1 => self.model.suspend(index),
                2 => self.model.resume(index),
                _ => self.model.terminate(index),
            }
        }
        match armed {
            Some(_) => self.crash("while the operator was at it").await,
            None => self.compare().await,
        }
    }
}
