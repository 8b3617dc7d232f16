import { requestCodes } from "./error-codes.ts"

/** What is wrong with a request, as the client is shown it. */
export class RequestProblem extends Error {
  readonly _tag = "RequestProblem"
  override readonly name = "RequestProblem"
  readonly code: keyof typeof requestCodes
  readonly status: number
  readonly field: string | undefined
  readonly headers: Readonly<Record<string, string>>
  constructor(
    code: keyof typeof requestCodes,
    message: string,
    field?: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message)
    this.code = code
    this.status = requestCodes[code]
    this.field = field
    this.headers = headers
  }
}
