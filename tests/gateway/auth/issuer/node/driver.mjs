// Supabase's own client, doing what an application does. Prints one JSON object: what it saw.
import { createHmac } from 'node:crypto'
import { createInterface } from 'node:readline/promises'
import { createClient } from '@supabase/supabase-js'

const [scenario, url, adminKey, email] = process.argv.slice(2)
const password = 'correct horse'
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

class NoSocket {}

function client(key = 'sb_publishable_anything', flowType = 'implicit') {
  const kept = new Map()
  const storage = {
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, value) => void kept.set(name, value),
    removeItem: (name) => void kept.delete(name),
  }
  return createClient(url, key, {
    auth: { autoRefreshToken: false, persistSession: true, detectSessionInUrl: false, flowType, storage },
    realtime: { transport: NoSocket },
  })
}

async function fromTest(wish) {
  console.log(JSON.stringify({ wish }))
  return (await input.next()).value
}

function good({ data, error }) {
  if (error) throw error
  return data
}

function failure({ error }) {
  return { code: error?.code, status: error?.status, reasons: error?.reasons }
}

function totp(secret, seconds) {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  const bits = [...secret].map((c) => letters.indexOf(c).toString(2).padStart(5, '0')).join('')
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)))
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(Math.floor(seconds / 30)))
  const digest = createHmac('sha1', key).update(counter).digest()
  const code = digest.readUInt32BE(digest[19] & 15) & 0x7fffffff
  return String(code % 1_000_000).padStart(6, '0')
}

const scenarios = {
  async session() {
    const { auth } = client()
    const made = good(await auth.signUp({ email, password, options: { data: { name: 'Ann' } } }))
    const again = failure(await auth.signUp({ email, password }))
    const weak = failure(await client().auth.signUp({ email: `x${email}`, password: 'short' }))
    const wrong = failure(await client().auth.signInWithPassword({ email, password: 'wrong' }))
    good(await auth.signInWithPassword({ email, password }))
    const changed = good(await auth.updateUser({ data: { city: 'Ulm' } }))
    const refreshed = good(await auth.refreshSession())
    const claims = good(await auth.getClaims())
    const user = good(await auth.getUser())
    const signedOut = await auth.signOut()
    return {
      made: made.user.email,
      again,
      weak,
      wrong,
      metadata: changed.user.user_metadata,
      renewed: refreshed.session.refresh_token !== made.session.refresh_token,
      claims: { email: claims.claims.email, aal: claims.claims.aal, alg: claims.header.alg },
      user: user.user.email,
      signedOut: signedOut.error,
    }
  },

  async factors() {
    const { auth } = client()
    good(await auth.signUp({ email, password }))
    const enrolled = good(await auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone' }))
    const factorId = enrolled.id
    const wrong = failure(await auth.mfa.challengeAndVerify({ factorId, code: '000000' }))
    const code = totp(enrolled.totp.secret, Date.now() / 1000)
    good(await auth.mfa.challengeAndVerify({ factorId, code }))
    const repeated = failure(await auth.mfa.challengeAndVerify({ factorId, code }))
    const level = good(await auth.mfa.getAuthenticatorAssuranceLevel())
    const listed = good(await auth.mfa.listFactors())
    const one = client().auth
    good(await one.signInWithPassword({ email, password }))
    const refused = failure(await one.updateUser({ password: 'another horse' }))
    good(await auth.mfa.unenroll({ factorId }))
    return {
      picture: enrolled.totp.qr_code.slice(0, 24),
      wrong,
      repeated,
      level: level.currentLevel,
      methods: level.currentAuthenticationMethods.map(({ method }) => method),
      listed: listed.totp.map(({ friendly_name }) => friendly_name),
      refused,
    }
  },

  async links() {
    const { auth } = client('sb_publishable_anything', 'pkce')
    const made = good(await auth.signUp({ email, password }))
    const waiting = failure(await client().auth.signInWithPassword({ email, password }))
    const confirmed = good(await auth.exchangeCodeForSession(await fromTest('code of link')))
    good(await auth.resetPasswordForEmail(email))
    const recovered = good(await auth.exchangeCodeForSession(await fromTest('code of link')))
    good(await auth.updateUser({ password: 'another horse' }))
    const other = client().auth
    good(await other.signInWithOtp({ email, options: { shouldCreateUser: false } }))
    const token = await fromTest('code of letter')
    const byCode = good(await other.verifyOtp({ email, token, type: 'email' }))
    const twice = failure(await other.verifyOtp({ email, token, type: 'email' }))
    return {
      session: made.session,
      waiting,
      confirmed: confirmed.user.email,
      recovered: recovered.user.email,
      byCode: byCode.user.email,
      twice,
    }
  },

  async admin() {
    const { auth } = client(adminKey)
    const made = good(await auth.admin.createUser({ email, password, email_confirm: true }))
    const id = made.user.id
    const listed = good(await auth.admin.listUsers({ page: 1, perPage: 1 }))
    const read = good(await auth.admin.getUserById(id))
    good(await auth.admin.updateUserById(id, { ban_duration: '1h' }))
    const banned = failure(await client().auth.signInWithPassword({ email, password }))
    good(await auth.admin.updateUserById(id, { ban_duration: 'none' }))
    const link = good(await auth.admin.generateLink({ type: 'magiclink', email }))
    const opened = good(
      await client().auth.verifyOtp({ type: 'magiclink', token_hash: link.properties.hashed_token }),
    )
    const invited = good(await auth.admin.inviteUserByEmail(`invited-${email}`))
    good(await auth.admin.deleteUser(id))
    const gone = failure(await auth.admin.getUserById(id))
    const stranger = failure(await client().auth.admin.listUsers())
    return {
      total: listed.total >= 1 && listed.users.length,
      read: read.user.email,
      banned,
      opened: opened.user.email,
      invited: invited.user.email,
      gone,
      stranger,
    }
  },
}

console.log(JSON.stringify({ saw: await scenarios[scenario]() }))
process.exit(0)
