/**
 * A middleware that refuses everybody: Traefik has no handler for a status, but nobody connects from this address.
 *
 * @param status of the refusal, for HTTP. Default 403
 */
export const nobody = (status?: 404 | 503): object => ({
  ipAllowList: {
    sourceRange: ["255.255.255.255/32"],
    ...(status === undefined ? {} : { rejectStatusCode: status }),
  },
})
