/** Why a file could not be read, in words: what the system says of it names functions and repeats the path. */
const reasons: ReadonlyMap<string | undefined, string> = new Map([
  ['ENOENT', 'there is no such file'],
  ['ENOTDIR', 'a part of the path is a file'],
  ['EISDIR', 'it is a folder, not a file'],
  ['EACCES', 'you have no permission to read it'],
  ['EPERM', 'you have no permission to read it'],
  ['ENAMETOOLONG', 'the name is too long'],
])

/** `there is no such file`, …: to stand behind a path and a colon. */
export function whyUnreadable(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : undefined
  return reasons.get(code) ?? `it cannot be read (${code ?? String(cause)})`
}
