/** A target without what a URL cannot hold, a `#` and bytes above 0x7f, which are escaped: each character is one byte. */
export const escapedTarget = (target: string): string => target.replaceAll(/[#\u0080-\u00ff]/g, escapeByte)

const escapeByte = (byte: string): string => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`
