//! Version packages and their files.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};
use sqlx::any::AnyRow;

use super::{Columns, PAGE_MAX, Page, Reader, Result, StoreError, Writer};
use crate::clock::Millis;
use crate::rules::plan::PlanState;
use crate::rules::{ComponentNo, FileName, PackageId, PlanId, ProductKey, Remark, Title, Version};

/// Full or delta.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum PackageKind {
    /// Fits on every version.
    Full,
    /// Fits on one version only.
    Delta {
        /// The version that it fits on.
        source: Version,
    },
}

/// One object, not a union: generators of clients lose the fields beside a union.
impl schemars::JsonSchema for PackageKind {
    fn schema_name() -> Cow<'static, str> {
        "PackageKind".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut source = generator.subschema_for::<Version>();
        source.insert("description".into(), "Of a delta package: the one version that it fits on.".into());
        schemars::json_schema!({
            "type": "object",
            "properties": {
                "type": { "type": "string", "enum": ["full", "delta"], "description": "Full or delta." },
                "source": source,
            },
            "required": ["type"],
        })
    }
}

impl PackageKind {
    /// The version that a delta package needs.
    pub fn source(&self) -> Option<&Version> {
        match self {
            PackageKind::Full => None,
            PackageKind::Delta { source } => Some(source),
        }
    }
}

/// Digests of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Digests {
    /// MD5.
    #[serde(serialize_with = "as_hex")]
    #[schemars(with = "String", regex(pattern = "^[0-9a-f]{32}$"))]
    pub md5: [u8; 16],
    /// CRC-32/ISO-HDLC.
    #[serde(serialize_with = "crc_as_hex")]
    #[schemars(with = "String", regex(pattern = "^[0-9a-f]{8}$"))]
    pub crc32: u32,
    /// SHA-256.
    #[serde(serialize_with = "as_hex")]
    #[schemars(with = "String", regex(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: [u8; 32],
}

fn as_hex<S: Serializer, const N: usize>(
    digest: &[u8; N],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(digest))
}

fn crc_as_hex<S: Serializer>(crc: &u32, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{crc:08x}"))
}

/// A file of a version package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct PackageFile {
    /// Its name as uploaded.
    pub name: FileName,
    /// Bytes.
    pub size: u64,
    /// Digests of the content.
    #[serde(flatten)]
    pub digests: Digests,
    /// Where the object store keeps it.
    #[serde(skip)]
    pub object: String,
}

/// What makes a version package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct NewPackage {
    /// Product key.
    pub product: ProductKey,
    /// The component that it is for.
    pub component: ComponentNo,
    /// Version name.
    pub name: Title,
    /// Full or delta.
    #[serde(flatten)]
    pub kind: PackageKind,
    /// The version that it brings.
    pub target: Version,
    /// Remark.
    pub remark: Remark,
    /// 1..=5 files; the first one is file 0.
    pub files: Vec<PackageFile>,
}

/// A version package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Package {
    /// Number.
    pub id: PackageId,
    /// What it is.
    #[serde(flatten)]
    pub content: NewPackage,
    /// Since when.
    pub created: Millis,
}

pub(super) const WORKING: &str = "SELECT plans.name AS name FROM plan_components \
             JOIN plans ON plans.id = plan_components.plan_id \
             JOIN upgrades ON upgrades.plan_id = plans.id AND upgrades.state = 'upgrading' \
             WHERE plan_components.package_id = $1 AND upgrades.ended_at IS NULL LIMIT 1";

// A test shows that it has its index.
pub(super) const SAME_TARGET: &str = "SELECT id FROM packages WHERE pk = $1 AND component = $2 AND target = $3 \
             AND COALESCE(source, '') = $4 AND id <> $5 ORDER BY id LIMIT 20";

/// A plan that brings a package to one of its components.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct PlanWithPackage {
    /// The plan.
    pub id: PlanId,
    /// Its name.
    pub name: Title,
    /// Where it is in its life.
    pub state: PlanState,
}

pub(super) const PLANS_WITH: &str = "SELECT plans.id AS id, plans.name AS name, plans.state AS state FROM plan_components \
             JOIN plans ON plans.id = plan_components.plan_id WHERE plan_components.package_id = $1 \
             ORDER BY plans.id DESC LIMIT 100";

fn package(row: &AnyRow) -> Result<Package> {
    let kind = match row.maybe_word("source")? {
        Some(source) => PackageKind::Delta { source },
        None => PackageKind::Full,
    };
    Ok(Package {
        id: PackageId(row.int("id")?),
        content: NewPackage {
            product: row.word("pk")?,
            component: row.word("component")?,
            name: row.word("name")?,
            kind,
            target: row.word("target")?,
            remark: row.word("remark")?,
            files: Vec::new(),
        },
        created: Millis(row.int("created_at")?),
    })
}

fn file(row: &AnyRow) -> Result<PackageFile> {
    fn digest<const N: usize>(row: &AnyRow, column: &'static str) -> Result<[u8; N]> {
        let mut digest = [0; N];
        hex::decode_to_slice(row.text(column)?, &mut digest)
            .map_err(|error| StoreError::Unusable(format!("column {column}: {error}")))?;
        Ok(digest)
    }
    Ok(PackageFile {
        name: row.word("name")?,
        size: row.number("size")?,
        digests: Digests {
            md5: digest(row, "md5")?,
            crc32: row.number("crc32")?,
            sha256: digest(row, "sha256")?,
        },
        object: row.text("object_key")?,
    })
}

impl Reader {
    /// Bytes of all files of a product's packages.
    pub async fn package_bytes(&mut self, product: &ProductKey) -> Result<u64> {
        let row = sqlx::query(
            "SELECT CAST(COALESCE(SUM(package_files.size), 0) AS BIGINT) AS bytes FROM package_files \
             JOIN packages ON packages.id = package_files.package_id WHERE packages.pk = $1",
        )
        .bind(product.as_str())
        .fetch_one(self.connection())
        .await?;
        row.number("bytes")
    }

    /// Packages that bring a component to the same version as this one, with other bytes: a device that has one of them
    /// counts as having this one.
    pub async fn twins_of(&mut self, package: &Package) -> Result<Vec<Package>> {
        let NewPackage { product, component, kind, target, files, .. } = &package.content;
        let rows = sqlx::query(SAME_TARGET)
            .bind(product.as_str())
            .bind(component.as_str())
            .bind(target.as_str())
            .bind(kind.source().map_or("", Version::as_str))
            .bind(package.id.0)
            .fetch_all(self.connection())
            .await?;
        let bytes = |files: &[PackageFile]| files.iter().map(|file| file.digests.sha256).collect::<Vec<_>>();
        let mut twins = Vec::new();
        for row in rows {
            let other = self.package(PackageId(row.int("id")?)).await?;
            if bytes(&other.content.files) != bytes(files) {
                twins.push(other);
            }
        }
        Ok(twins)
    }

    async fn package_files(&mut self, mut package: Package) -> Result<Package> {
        let rows = sqlx::query("SELECT * FROM package_files WHERE package_id = $1 ORDER BY position")
            .bind(package.id.0)
            .fetch_all(self.connection())
            .await?;
        package.content.files = rows.iter().map(file).collect::<Result<_>>()?;
        Ok(package)
    }

    /// The package, if there is one.
    pub async fn find_package(&mut self, id: PackageId) -> Result<Option<Package>> {
        let row = sqlx::query("SELECT * FROM packages WHERE id = $1")
            .bind(id.0)
            .fetch_optional(self.connection())
            .await?;
        match row {
            Some(row) => Ok(Some(self.package_files(package(&row)?).await?)),
            None => Ok(None),
        }
    }

    /// The package, or [`StoreError::NotFound`].
    pub async fn package(&mut self, id: PackageId) -> Result<Package> {
        self.find_package(id).await?.ok_or_else(|| StoreError::missing("version package", id.0))
    }

    /// A page of the packages, of one product or of all, oldest first; `after` is the last number seen, 0 at the beginning.
    pub async fn packages(
        &mut self,
        product: Option<&ProductKey>,
        after: i64,
        limit: i64,
    ) -> Result<Page<Package>> {
        let limit = limit.clamp(1, PAGE_MAX);
        let query = match product {
            Some(product) => {
                sqlx::query("SELECT * FROM packages WHERE pk = $3 AND id > $1 ORDER BY id LIMIT $2")
                    .bind(after)
                    .bind(limit + 1)
                    .bind(product.as_str())
            }
            None => sqlx::query("SELECT * FROM packages WHERE id > $1 ORDER BY id LIMIT $2")
                .bind(after)
                .bind(limit + 1),
        };
        let rows = query.fetch_all(self.connection()).await?;
        let rows = rows.iter().map(package).collect::<Result<Vec<_>>>()?;
        let mut page = Page::of(rows, limit, |package| package.id.0);
        let mut whole = Vec::with_capacity(page.rows.len());
        for package in std::mem::take(&mut page.rows) {
            whole.push(self.package_files(package).await?);
        }
        page.rows = whole;
        Ok(page)
    }

    /// The plans that have the package, over or not: the newest 100.
    pub async fn plans_with_package(&mut self, id: PackageId) -> Result<Vec<PlanWithPackage>> {
        let rows = sqlx::query(PLANS_WITH).bind(id.0).fetch_all(self.connection()).await?;
        rows.iter()
            .map(|row| {
                Ok(PlanWithPackage {
                    id: PlanId(row.int("id")?),
                    name: row.word("name")?,
                    state: row.word("state")?,
                })
            })
            .collect()
    }

    /// Whether a package holds this object: one that none holds may go.
    pub async fn is_object_used(&mut self, object: &str) -> Result<bool> {
        let row = sqlx::query("SELECT package_id FROM package_files WHERE object_key = $1 LIMIT 1")
            .bind(object)
            .fetch_optional(self.connection())
            .await?;
        Ok(row.is_some())
    }
}

impl Writer {
    /// Adds a version package; the product must have its component.
    pub async fn create_package(&mut self, new: NewPackage, now: Millis) -> Result<Package> {
        self.component(&new.product, &new.component).await?;
        let row = sqlx::query(
            "INSERT INTO packages (pk, component, name, source, target, remark, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *",
        )
        .bind(new.product.as_str())
        .bind(new.component.as_str())
        .bind(new.name.as_str())
        .bind(new.kind.source().map(Version::as_str))
        .bind(new.target.as_str())
        .bind(new.remark.as_str())
        .bind(now.0)
        .fetch_one(self.connection())
        .await?;
        let id = PackageId(row.int("id")?);
        for (position, file) in (0i64..).zip(&new.files) {
            let size = i64::try_from(file.size)
                .map_err(|_| StoreError::Unusable(format!("a file of {} bytes", file.size)))?;
            sqlx::query(
                "INSERT INTO package_files (package_id, position, name, size, md5, crc32, sha256, object_key) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(id.0)
            .bind(position)
            .bind(file.name.as_str())
            .bind(size)
            .bind(hex::encode(file.digests.md5))
            .bind(i64::from(file.digests.crc32))
            .bind(hex::encode(file.digests.sha256))
            .bind(file.object.as_str())
            .execute(self.connection())
            .await?;
        }
        Ok(Package { id, content: new, created: now })
    }

    /// The package, held against its deletion until the end of the transaction, if there is one.
    pub async fn hold_package(&mut self, id: PackageId) -> Result<Option<Package>> {
        let query = self.held("SELECT * FROM packages WHERE id = $1");
        let row = sqlx::query(query).bind(id.0).fetch_optional(self.connection()).await?;
        match row {
            Some(row) => Ok(Some(self.package_files(package(&row)?).await?)),
            None => Ok(None),
        }
    }

    /// Deletes a package, and gives it back so that its objects can follow. [`StoreError::Conflict`] while a plan that
    /// is not over uses it, a device of one that is over still works with it, or a firmware verification does.
    pub async fn delete_package(&mut self, id: PackageId) -> Result<Package> {
        let lock = self.locked_for_deletion("SELECT id FROM packages WHERE id = $1");
        sqlx::query(lock).bind(id.0).fetch_optional(self.connection()).await?;
        let package = self.package(id).await?;
        if let Some(verification) = self.running_verification(id).await? {
            let reason = format!(
                "firmware verification {} uses it; wait for its end, at most an hour",
                verification.0
            );
            return Err(StoreError::conflict("version package", id.0, reason));
        }
        let row = sqlx::query(
            "SELECT plans.name AS name FROM plan_components JOIN plans ON plans.id = plan_components.plan_id \
             WHERE plan_components.package_id = $1 AND plans.state NOT IN ('terminated', 'ended') LIMIT 1",
        )
        .bind(id.0)
        .fetch_optional(self.connection())
        .await?;
        if let Some(row) = row {
            let reason =
                format!("upgrade plan {:?} uses it; delete or end the plan first", row.text("name")?);
            return Err(StoreError::conflict("version package", id.0, reason));
        }
        if let Some(row) = sqlx::query(WORKING).bind(id.0).fetch_optional(self.connection()).await? {
            let reason = format!(
                "a device still works with it in upgrade plan {:?}, which is over; wait for its end",
                row.text("name")?
            );
            return Err(StoreError::conflict("version package", id.0, reason));
        }
        for table in ["DELETE FROM package_files WHERE package_id = $1", "DELETE FROM packages WHERE id = $1"]
        {
            sqlx::query(table).bind(id.0).execute(self.connection()).await?;
        }
        Ok(package)
    }
}
