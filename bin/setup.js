#!/usr/bin/env node
// Makes a fresh clone runnable: installs what the lock file names when it is newer than what is installed,
// and compiles src/ when there is no compiled code yet.
import {execFileSync} from 'node:child_process'
import {existsSync, statSync} from 'node:fs'
import {fileURLToPath} from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const age = (path) => (existsSync(root + path) ? statSync(root + path).mtimeMs : 0)
// Everything goes to stderr: stdout belongs to the command that asked for the set-up.
const run = (command, ...args) =>
  execFileSync(command, args, {
    cwd: root,
    stdio: ['ignore', process.stderr, 'inherit'],
    shell: process.platform === 'win32',
  })

if (age('package-lock.json') > age('node_modules/.package-lock.json')) {
  run('npm', 'ci', '--no-audit', '--no-fund', '--include=dev')
}
if (!existsSync(`${root}dist/index.js`)) run('npm', 'run', '--silent', 'build')
