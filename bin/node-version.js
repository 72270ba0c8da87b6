// Imported first: an old Node gets one clear line instead of a fault somewhere inside a dependency.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(
    `Error: llmsim needs Node 20.19 or newer, and this is Node ${process.versions.node}.\n` +
      'Try this: install a current Node from https://nodejs.org (or: nvm install 22)\n',
  )
  process.exit(2)
}

// oclif would check its own range once more, and load semver for it: a tenth of what a short command takes.
process.env.OCLIF_DISABLE_ENGINE_WARNING = '1'
