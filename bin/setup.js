#!/usr/bin/env node
// Makes a fresh clone runnable: installs what the lock file names when it is newer than what is installed,
// and compiles src/ when there is no compiled code yet.
import './node-version.js'
import {spawnSync} from 'node:child_process'
import {existsSync, lstatSync, statSync} from 'node:fs'
import {fileURLToPath} from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const age = (path) => (existsSync(root + path) ? statSync(root + path).mtimeMs : 0)
// A linked node_modules belongs to somebody else, who keeps it up to date.
const linked = lstatSync(`${root}node_modules`, {throwIfNoEntry: false})?.isSymbolicLink()

// Everything goes to stderr: stdout belongs to the command that asked for the set-up.
const run = (...args) => {
  const {status, error} = spawnSync('npm', args, {
    cwd: root,
    stdio: ['ignore', process.stderr, 'inherit'],
    shell: process.platform === 'win32',
  })
  if (status === 0) return
  const call = `npm ${args.join(' ')}`
  process.stderr.write(
    `Error: llmsim could not set itself up: "${call}" ${error ? `did not start (${error.code})` : 'failed'}.\n` +
      `Try this: cd ${root} && ${call}\n`,
  )
  process.exit(2)
}

const stale = age('package-lock.json') > age('node_modules/.package-lock.json')
// `npm i -g .` installs what runs, but not the compiler.
if (!linked && (stale || !existsSync(`${root}node_modules/typescript`)))
  run('ci', '--no-audit', '--no-fund', '--include=dev')
if (!existsSync(`${root}dist/start.js`)) run('run', '--silent', 'build')
