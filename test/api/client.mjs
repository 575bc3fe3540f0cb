// IPFS Cluster's JavaScript client against a node: client.mjs URL. Prints nothing when all is well.
import assert from 'node:assert/strict'
import { Cluster } from '@nftstorage/ipfs-cluster'

const cluster = new Cluster(process.argv[2])
const cid = 'bafkreia22brx2qsunhs3fjl32vzkkmlxo5xqnpselaxidh4r2n2eriydp4'
const other = 'QmNmVY8XGFNGU5wZmoqKaxVzqpGV4pL5BURyKUhWcK9Ezh'

assert.match(await cluster.version(), /^\d+\.\d+\.\d+/)
const [peer] = await cluster.peerList()
assert.equal(peer.peerName, 'tester')
assert.deepEqual((await cluster.metricNames()).includes('ping'), true)

const pinned = await cluster.pin(cid, {
  name: 'n',
  metadata: { a: '1' },
  replicationFactorMin: -1,
  replicationFactorMax: -1,
  expireAt: new Date('2030-01-01T00:00:00Z')
})
assert.equal(pinned.cid, cid)
assert.equal(pinned.name, 'n')
assert.deepEqual(pinned.metadata, { a: '1' })
assert.deepEqual(pinned.expireAt, new Date('2030-01-01T00:00:00Z'))
assert.equal((await cluster.pin(`/ipfs/${other}`)).cid, other)

const read = await cluster.allocation(cid)
assert.equal(read.maxDepth, -1)
assert.deepEqual(read.metadata, { a: '1' })

const status = await cluster.status(cid)
assert.equal(status.peerMap[peer.id].status, 'pin_queued')
assert.equal((await cluster.recover(cid, { local: true })).cid, cid)
assert.equal((await cluster.statusAll()).length, 2)
assert.equal((await cluster.statusAll({ filter: 'queued', local: true })).length, 2)
assert.equal((await cluster.statusAll({ cids: [cid, other] })).length, 2)

assert.equal((await cluster.unpin(cid)).cid, cid)
await assert.rejects(cluster.unpin(cid), /^Error: 404/)
await assert.rejects(cluster.pin('/ipns/example.org'), /^Error: 501/)
await assert.rejects(cluster.add(new Blob(['x'])), /^Error: 501/)
