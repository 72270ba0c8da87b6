#!/usr/bin/env node
import {existsSync} from 'node:fs'

// A clone that was never built (`npx llmsim` or `npm i -g .` right after `git clone`) builds itself once.
if (!existsSync(new URL('../dist/index.js', import.meta.url))) await import('./setup.js')

const {execute} = await import('@oclif/core')
await execute({dir: import.meta.url})
