/** A record as Cloudflare stores it. */
export interface FakeRecord {
  readonly id: string
  readonly name: string
  readonly type: string
  readonly content: string
  readonly ttl: number
  readonly proxied: boolean
  readonly comment: string | null
}

type Body = Readonly<Record<string, unknown>>

class Refusal extends Error {
  readonly code: number
  readonly status: number
  constructor(code: number, message: string, status = 400) {
    super(message)
    this.code = code
    this.status = status
  }
}

/** Cloudflare's API v4 for the records of one zone, as its documentation describes it. It shares no code with what is tested. */
export const fakeCloudflare = (zone = "example.com") => {
  let records: FakeRecord[] = []
  let made = 0
  const requests: {
    readonly method: string
    readonly path: string
    readonly body: unknown
    readonly redirect: unknown
  }[] = []
  /** What the next requests get instead of a response of the zone. */
  const instead: (() => Response | Promise<Response>)[] = []
  const token = "cf-token-that-is-secret"
  const zoneId = "0123456789abcdef0123456789abcdef"

  const address = (type: string): boolean => type === "A" || type === "AAAA"

  const validated = (record: Omit<FakeRecord, "id">): void => {
    if (record.name !== zone && !record.name.endsWith(`.${zone}`)) throw new Refusal(1004, "DNS Validation Error")
    if (record.type === "A" && !/^(\d{1,3}\.){3}\d{1,3}$/.test(record.content)) {
      throw new Refusal(9005, `Content for A record must be a valid IPv4 address. ${token}`)
    }
    if (record.ttl !== 1 && (record.ttl < 60 || record.ttl > 86_400)) throw new Refusal(1004, "DNS Validation Error")
    if ((record.comment?.length ?? 0) > 100) throw new Refusal(1004, "DNS Validation Error")
  }

  const add = (body: Body, to: FakeRecord[]): FakeRecord[] => {
    const record = {
      ttl: 1,
      proxied: false,
      comment: null,
      ...body,
      id: (++made).toString(16).padStart(32, "0"),
    } as unknown as FakeRecord
    validated(record)
    const same = to.filter(({ name }) => name === record.name)
    if (same.some(({ type, content }) => type === record.type && content === record.content)) {
      throw new Refusal(81_058, "An identical record already exists.")
    }
    if (record.type === "CNAME" && same.some(({ type }) => address(type)))
      throw new Refusal(81_054, "A CNAME record with that host already exists.")
    if (record.type !== "CNAME" && same.some(({ type }) => type === "CNAME"))
      throw new Refusal(81_053, "An A, AAAA, or CNAME record with that host already exists.")
    if (record.type === "CNAME" && same.length > 0) throw new Refusal(81_057, "The record already exists.")
    return [...to, record]
  }

  const withId = (id: unknown, of: readonly FakeRecord[]): FakeRecord => {
    const found = of.find((each) => each.id === id)
    if (found === undefined) throw new Refusal(81_044, "Record does not exist.", 404)
    return found
  }

  /** Deletes, patches, puts, posts: in this order, and all or nothing. */
  const batch = (body: Record<"deletes" | "patches" | "posts", readonly Body[]>): void => {
    let next = records
    for (const { id } of body.deletes) {
      const gone = withId(id, next)
      next = next.filter((each) => each !== gone)
    }
    for (const patch of body.patches) {
      const found = withId(patch["id"], next)
      const changed = { ...found, ...patch } as FakeRecord
      validated(changed)
      next = next.map((each) => (each === found ? changed : each))
    }
    for (const post of body.posts) next = add(post, next)
    records = next
  }

  const envelope = (status: number, result: unknown, errors: readonly object[] = [], info?: object): Response =>
    Response.json(
      { success: errors.length === 0, errors, messages: [], result, ...(info && { result_info: info }) },
      { status },
    )

  const fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const { pathname, searchParams, origin } = new URL(url)
    const body: unknown = typeof init.body === "string" ? JSON.parse(init.body) : undefined
    const method = init.method ?? "GET"
    requests.push({ method, path: pathname, body, redirect: init.redirect })
    const other = instead.shift()
    if (other !== undefined) return other()
    init.signal?.throwIfAborted()
    const headers = new Headers(init.headers)
    if (origin !== "https://api.cloudflare.com") throw new TypeError("fetch failed")
    if (headers.get("authorization") !== `Bearer ${token}`)
      return envelope(403, null, [{ code: 9109, message: "Invalid access token" }])
    if (pathname === `/client/v4/zones/${zoneId}/dns_records` && method === "GET") {
      const filters = ["name.exact", "content.exact", "comment.exact", "type"].flatMap((filter) => {
        const value = searchParams.get(filter)
        return value === null ? [] : [[filter.replace(".exact", ""), value] as const]
      })
      const found = records.filter((record) =>
        filters.every(([field, value]) => record[field as keyof FakeRecord] === value),
      )
      const size = Number(searchParams.get("per_page") ?? 100)
      const page = Number(searchParams.get("page") ?? 1)
      const info = {
        page,
        per_page: size,
        total_count: found.length,
        total_pages: Math.max(1, Math.ceil(found.length / size)),
      }
      return envelope(200, found.slice((page - 1) * size, page * size), [], info)
    }
    if (pathname === `/client/v4/zones/${zoneId}/dns_records/batch` && method === "POST") {
      try {
        batch(body as Parameters<typeof batch>[0])
        return envelope(200, {})
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        return envelope(error.status, null, [{ code: error.code, message: error.message }])
      }
    }
    return envelope(404, null, [{ code: 7003, message: "Could not route" }])
  }

  return {
    token,
    zoneId,
    fetch,
    requests,
    instead,
    all: (): readonly FakeRecord[] => records,
    /** As somebody does in the dashboard. */
    add: (record: Partial<FakeRecord>) => {
      records = add(record, records)
    },
    clear: () => {
      records = []
    },
  }
}
