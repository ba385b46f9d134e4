/* The send protocol (docs/send-protocol.md) for one intent: two workers, a reconciler, webhook evidence, and a provider
 * that has no idempotency keys, may lose its answers, may take a request late, and whose lists lag.
 *
 * VARIANT says what is left out, so that the checker shows what each part is for:
 *   0  everything: a job that is run again after a crash, a timeout or a 5xx
 *   1  no reconciler: an intent row, and an unknown outcome is sent again at once
 *   2  no settle time: absent in one look is absent
 *   3  no check before the write
 *   4  no bound on the pause between that check and the write (assumption A3)
 *   5  nothing: the RESEND policy
 *   6  the HOLD policy, without any assumption about time
 *   7  no fence: an answer is stored whichever attempt it is for
 *
 * Time is not counted. The settle time S >= W+P+R+D+V means: when it is over, no request of the attempt is on its way (D),
 * every accepted message shows in the lists (V), and no worker still stands between its check and its write (P).
 */
#ifndef VARIANT
#define VARIANT 5
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 3
#endif
#ifndef CRASHES
#define CRASHES 2
#endif

mtype = { PLANNED, SENDING, UNKNOWN, RETRYABLE, ACCEPTED, REFUSED, PARKED };
mtype = { YES, NO, LATER, BROKEN };

/* The row: what survives a crash. */
mtype state = PLANNED;
byte attempt = 0;          /* number of claims, and the fence */
byte resends = 0;          /* how often absence let it be sent again (T13) */
bool leased = false;       /* the newest claim's lease runs */

/* The world. */
byte accepted = 0;         /* messages the provider took */
byte unseen = 0;           /* of them, not in the lists yet */
byte writing = 0;          /* workers between check and write */
byte crashes = 0;
bool refusal = false;      /* a refusal was committed */

chan wire = [4] of { byte, byte };          /* requests: worker, attempt */
chan answer[2] = [4] of { mtype, byte };    /* answers: what, attempt */

#define VISIBLE   (accepted > unseen)
#define OVER      (state == ACCEPTED || state == REFUSED || state == PARKED)
#define CLAIMABLE (state == PLANNED || state == RETRYABLE)
#if VARIANT == 2
#define SETTLED true
#elif VARIANT == 3 || VARIANT == 4
#define SETTLED (len(wire) == 0 && unseen == 0)
#else
#define SETTLED (len(wire) == 0 && unseen == 0 && writing == 0)
#endif
#if VARIANT == 7
#define MINE(n) (state == SENDING || state == UNKNOWN)
#else
#define MINE(n) (n == attempt && (state == SENDING || state == UNKNOWN))
#endif

/* A kill: what the process knew is gone, the row stays. */
inline may_crash() {
    if
    :: atomic { crashes < CRASHES -> crashes++; goto begin }
    :: skip
    fi
}

inline retry_or_park() {
    if
    :: attempt < ATTEMPTS -> state = RETRYABLE
    :: else -> state = PARKED
    fi
}

/* The outcome of a call is committed (T4 to T9). */
inline commit(what, n) {
    atomic {
        if
#if VARIANT == 0
        :: !OVER && what == YES -> state = ACCEPTED
        :: !OVER && what == NO -> state = REFUSED; refusal = true
        :: !OVER && (what == LATER || what == BROKEN) -> retry_or_park()
#else
        :: MINE(n) && what == YES -> state = ACCEPTED
        :: MINE(n) && what == NO -> state = REFUSED; refusal = true
        :: MINE(n) && state == SENDING && what == LATER -> retry_or_park()
        :: MINE(n) && state == SENDING && what == BROKEN ->
#if VARIANT == 1
           retry_or_park()
#else
           state = UNKNOWN
#endif
#endif
        :: else
        fi;
    }
}

proctype Worker(byte me) {
    byte mine; byte seq; mtype what;
begin:
    atomic {
        mine = 0; seq = 0;
        do
        :: answer[me]?what,seq
        :: empty(answer[me]) -> break
        od;
        what = 0; seq = 0
    };
    if
    :: OVER -> goto end
    :: atomic {                                     /* T2: the claim */
        CLAIMABLE && attempt < ATTEMPTS ->
        attempt++; mine = attempt; leased = true;
#if VARIANT != 0
        state = SENDING
#endif
       }
    fi;
    may_crash();
#if VARIANT >= 5
    if                                              /* one more look under the claim */
    :: atomic { resends > 0 && VISIBLE ->
        if
        :: MINE(mine) -> state = ACCEPTED
        :: else
        fi;
        goto begin
       }
    :: resends == 0 || !VISIBLE
    fi;
    may_crash();
#endif
    atomic {                                        /* the check before the write */
#if VARIANT >= 4
        if
        :: !leased || mine != attempt -> goto begin
        :: else
        fi;
#endif
        writing++
    };
    atomic {                                        /* any pause lies between these two steps */
        writing--;
        assert(!refusal);                           /* I5: nothing leaves after a refusal was committed */
        wire!me,mine
    };
    may_crash();
    if
    :: answer[me]?what,seq ->
        if
        :: seq != mine -> goto begin
        :: else
        fi;
        may_crash();
        commit(what, mine)
    :: commit(BROKEN, mine)                         /* timeout, reset, end of file */
    fi;
    goto begin;
end:
    skip
}

/* The provider: takes a request at any time, with or without an answer that arrives. */
proctype Provider() {
    byte from, n;
end:
    do
    :: atomic { wire?from,n ->
        if
        :: accepted++; unseen++;
            if
            :: answer[from]!YES,n
            :: answer[from]!BROKEN,n                /* 5xx although it was taken */
            :: skip                                 /* the answer is lost */
            fi
        :: answer[from]!NO,n
        :: answer[from]!LATER,n
        :: answer[from]!BROKEN,n                    /* 5xx, not taken */
        :: skip                                     /* lost on the way */
        fi;
        from = 0; n = 0
       }
    :: atomic { unseen > 0 -> unseen-- }            /* the lists catch up */
    od
}

/* T10 to T16. */
proctype Reconciler() {
    do
    :: OVER && state != PARKED -> break
    :: state == PARKED -> break
#if VARIANT == 0
    :: atomic { CLAIMABLE && attempt == ATTEMPTS -> state = PARKED }
#else
    :: atomic { state == SENDING && leased -> leased = false }
    :: atomic { state == SENDING && !leased -> state = UNKNOWN }                      /* T10 */
    :: atomic { (state == UNKNOWN || state == RETRYABLE) && VISIBLE && attempt > 0 -> /* T11, T16 */
#if VARIANT == 1
        if
        :: state == UNKNOWN -> retry_or_park()
        :: else
        fi
#else
        state = ACCEPTED
#endif
       }
#if VARIANT == 1
    :: atomic { state == UNKNOWN -> retry_or_park() }
#elif VARIANT == 6
    :: atomic { state == UNKNOWN && !VISIBLE -> state = PARKED }                      /* T14 */
#else
    :: atomic { state == UNKNOWN && !VISIBLE && SETTLED ->                            /* T13, T14 */
        if
        :: resends == 0 && attempt < ATTEMPTS -> resends++; state = RETRYABLE
        :: else -> state = PARKED
        fi
       }
#endif
#endif
    od
}

/* I1: the provider never takes two. */
active proctype Watch() {
end:
    do
    :: atomic { accepted > 1 -> assert(false) }
    od
}

init {
    atomic { run Worker(0); run Worker(1); run Provider(); run Reconciler() }
}

ltl truth  { [] ((state == ACCEPTED -> accepted >= 1) && (state == REFUSED -> accepted == 0)) }
ltl nothing_sent { [] (state == PARKED -> accepted == 0) }
ltl absorb { [] (state == REFUSED -> [] (state == REFUSED)) }
ltl ends   { <> OVER }
