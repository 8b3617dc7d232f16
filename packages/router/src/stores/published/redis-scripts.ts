/**
 * Scripts that Redis runs as one step. `SET` and `HSET` cannot compare a version with what is there, and `WATCH` needs a connection
 * that nobody else uses, which a pool or an HTTP client does not have. Each has one key, so that it runs in a cluster, too.
 */

/** The beginning of an entry, as `encodeEntry` writes it. */
const HEAD = `'^{"v":%d+,"version":(%d+),"readAt":(%d+)'`

/** `key, version, isForced, text` for each entry: written unless a higher version is there. */
export const WRITE_ENTRIES = `
for at = 1, #ARGV, 4 do
  local found = redis.call('HGET', KEYS[1], ARGV[at])
  local version = found and string.match(found, ${HEAD})
  if ARGV[at + 2] == '1' or not version or tonumber(version) <= tonumber(ARGV[at + 1]) then
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 3])
  end
end
return 1`

/** `text, version, readAt, ttlMs`: of two records the higher version stays, else what was read later. */
export const CACHE_ENTRY = `
local found = redis.call('GET', KEYS[1])
local version, readAt = string.match(found or '', ${HEAD})
if version then
  local was, is = tonumber(version), tonumber(ARGV[2])
  if was > 0 and is > 0 and was ~= is then
    if was > is then return 0 end
  elseif tonumber(readAt) > tonumber(ARGV[3]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[4])
return 1`

/** `key, text`: removes what is still that. */
export const FORGET_TOMBSTONE = `
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 1`

/** `field, marker, tokenField, token`: saved unless all that was written since the token is gone. */
export const SAVE_FIRST_MARKER = `
if redis.call('HGET', KEYS[1], ARGV[3]) ~= ARGV[4] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1`

/** `field, marker, previous`: saved unless another one is there. */
export const SAVE_MARKER = `
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1`
