/** The tables that EdgeProxy documents, for Postgres and for SQLite, and rows in them. */

export const REGION = "01234567-89ab-cdef-0123-456789abcdef"
export const OTHER_REGION = "89abcdef-0123-4567-89ab-cdef01234567"

/** Types of Postgres that drivers give in forms of their own: a uuid, an address, a time. */
export const postgresTables = `
create table regions (id uuid primary key, public_ipv4 inet);
create table vms (id text primary key, private_ip inet, port integer, region_id uuid references regions, status text);
create table deployments (id text primary key, vm_id text references vms, status text);
create table domains (name text, deployment_id text references deployments, verified_at timestamptz);
insert into regions values ('${REGION}', '127.0.0.1'), ('${OTHER_REGION}', '127.0.0.2');
`

export const sqliteTables = postgresTables
  .replaceAll(/\b(?:uuid|inet|timestamptz)\b/g, "text")
  .replaceAll(/ references \w+/g, "")

/** An app under a domain, as EdgeProxy's control plane writes it. */
export interface App {
  readonly domain: string
  readonly ip?: string
  readonly port?: number
  readonly region?: string
  readonly verified?: boolean
  /** Of the deployment; `ready` routes. */
  readonly deployment?: string
  /** Of the virtual machine; `running` routes. */
  readonly vm?: string
}

/** Statements that add an app. */
export const addApp = (app: App): string => {
  const { domain, ip = "127.0.0.1", port = 3000, region = REGION } = app
  const { verified = true, deployment = "ready", vm = "running" } = app
  return `
    insert into vms values ('vm ${domain}', '${ip}', ${port}, '${region}', '${vm}');
    insert into deployments values ('dep ${domain}', 'vm ${domain}', '${deployment}');
    insert into domains values ('${domain}', 'dep ${domain}', ${verified ? "'2026-01-01T00:00:00Z'" : "null"});
  `
}
