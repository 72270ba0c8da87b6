#!/usr/bin/env node
import './node-version.js'
import {existsSync} from 'node:fs'
import {fileURLToPath} from 'node:url'
import {isBundled, loadBundle} from './bundled.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const argv = process.argv.slice(2)

const installed = () => {
  try {
    return Boolean(import.meta.resolve('@oclif/core'))
  } catch {
    return false
  }
}

// A clone that was never built (`npx llmsim` or `npm i -g .` right after `git clone`) builds itself once.
if (!existsSync(`${root}dist/start.js`) || !installed()) await import('./setup.js')

// What most runs need; a run that only prints its help would keep the bytecode of too little.
const isTypical = argv[0] === 'simulate' && !argv.some((arg) => arg === '--help' || arg === '-h')
// The server is not in the bundle. After a compilation alone the bundle is missing or old: the modules do the same.
const {start} =
  argv[0] !== 'listen' && isBundled()
    ? loadBundle(argv, {isTypical})
    : await import('../dist/start.js')
await start(argv, {root})
