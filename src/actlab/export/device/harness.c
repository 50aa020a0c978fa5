/* Start-up code of an emulated Cortex-M, which counts the instructions of RUN and runs the project's test program.

   The test program's calls of RUN come here: the function below it reads a timer, calls the net (compiled under the name NET) and reads
   the timer again. The timer counts instructions, because each takes the same emulated time. What the counting costs is counted in the same
   way, around functions of one and of three instructions, and printed beside the net's.

   Defined by the build: RUN, NET, TIMER (address), LAYERS, RUNS (how many calls are recorded). */
#include <stdarg.h>
#include <stdint.h>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define PATTERN 0xa5a5a5a5u
#define PAINTED 65536u /* bytes of stack */

extern uint32_t stack_top[];
int main(void);
int printf(const char *format, ...);
void reset(void), fault(void), begin(uint32_t stack), end(void), after_layer(int layer);
void RUN(void), count_nothing(void), count_one_layer(void), no_net(void), one_layer(void);

uint32_t return_address;
static uint32_t started, stack_used, calls;
static uint32_t run_ticks[RUNS + 2], left;
static uint32_t layer_ticks[RUNS + 2][LAYERS + 2];

static uint32_t now(void)
{
    return 0xffffffffu - *(volatile uint32_t *)(TIMER + 4u);
}

static int host(int operation, const void *argument)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void leave(uint32_t code)
{
    uint32_t arguments[2];
    arguments[0] = 0x20026u;
    arguments[1] = code;
    for (;;)
        (void)host(0x20, arguments); /* SYS_EXIT_EXTENDED */
}

static void put_text(const char *text)
{
    (void)host(4, text); /* SYS_WRITE0 */
}

static void put_hex(uint32_t value)
{
    char text[10];
    int i;
    for (i = 0; i < 8; ++i)
        text[i] = "0123456789abcdef"[(value >> (28 - 4 * i)) & 15u];
    text[8] = ' ';
    text[9] = 0;
    put_text(text);
}

/* Print the format and its arguments in hexadecimal; the host puts the text together. */
int printf(const char *format, ...)
{
    va_list arguments;
    const char *at;
    va_start(arguments, format);
    put_text("printf ");
    for (at = format; *at != 0; ++at)
        put_hex((uint32_t)(unsigned char)*at);
    put_text("\narguments ");
    for (at = format; *at != 0; ++at) {
        if (*at != '%')
            continue;
        do
            ++at;
        while ((*at >= '0' && *at <= '9') || *at == '.' || *at == 'l' || *at == '-' || *at == '+' || *at == ' ');
        if (*at == 'd' || *at == 'i' || *at == 'u' || *at == 'x' || *at == 'c') {
            put_hex(va_arg(arguments, uint32_t));
        } else if (*at == 'e' || *at == 'f' || *at == 'g') {
            union { double number; uint32_t words[2]; } both;
            both.number = va_arg(arguments, double);
            put_hex(both.words[0]);
            put_hex(both.words[1]);
        } else if (*at != '%') {
            put_text("?");
            break;
        }
    }
    put_text("\n");
    va_end(arguments);
    return 0;
}

/* Start a count; stack is the caller's stack pointer. */
void begin(uint32_t stack)
{
    if (calls < RUNS + 2) {
        started = stack;
        left = now();
        run_ticks[calls] = left;
    }
}

void end(void)
{
    const uint32_t time = now();
    if (calls >= RUNS + 2)
        return;
    run_ticks[calls] = time - run_ticks[calls];
    if (calls == 2) {
        const uint32_t *word = stack_top - PAINTED / 4;
        while (*word == PATTERN)
            ++word;
        stack_used = started - (uint32_t)(uintptr_t)word;
    }
    ++calls;
}

/* Record the time since the layer before, or since the start. */
void after_layer(int layer)
{
    const uint32_t time = now();
    if (calls < RUNS + 2)
        layer_ticks[calls][layer] = time - left;
    left = now();
}

#define COUNTED(name, function) \
    __asm__(".syntax unified\n.thumb\n.text\n.balign 4\n.global " name "\n.type " name ", %function\n.thumb_func\n" name ":\n" \
            "push {r0-r4, lr}\nldr r0, =return_address\nmov r1, lr\nstr r1, [r0]\nmov r0, sp\nadds r0, #24\nbl begin\n" \
            "pop {r0-r4}\nadd sp, #4\nbl " function "\npush {r0, r1}\nbl end\npop {r0, r1}\n" \
            "ldr r2, =return_address\nldr r2, [r2]\nbx r2\n.balign 4\n.ltorg\n")

COUNTED(TEXT(RUN), TEXT(NET));
COUNTED("count_nothing", "no_net");
COUNTED("count_one_layer", "one_layer");
__asm__(".balign 4\n.global no_net\n.type no_net, %function\n.thumb_func\nno_net:\nbx lr\n"
        ".balign 4\n.global one_layer\n.type one_layer, %function\n.thumb_func\none_layer:\n"
        "push {r4, lr}\nmovs r0, #0\nbl after_layer\nmovs r0, #1\nbl after_layer\npop {r4, pc}\n");

static void print_counts(void)
{
    uint32_t call, layer;
    put_text("stack ");
    put_hex(stack_used);
    put_text("\n");
    for (call = 0; call < calls; ++call) {
        put_text("run ");
        put_hex(run_ticks[call]);
        for (layer = 0; layer < LAYERS + 2; ++layer)
            put_hex(layer_ticks[call][layer]);
        put_text("\n");
    }
}

void reset(void)
{
    volatile uint32_t *word = stack_top - PAINTED / 4;
    const uint32_t *stack = (const uint32_t *)__builtin_frame_address(0) - 32;
    uint32_t code;
#if defined(__ARM_FP)
    *(volatile uint32_t *)0xe000ed88u |= 0xfu << 20;
    __asm__ volatile("dsb\nisb");
#endif
    while (word < stack)
        *word++ = PATTERN;
    *(volatile uint32_t *)(TIMER + 8u) = 0xffffffffu;
    *(volatile uint32_t *)(TIMER + 4u) = 0xffffffffu;
    *(volatile uint32_t *)TIMER = 1u;
    count_nothing();
    count_one_layer();
    code = (uint32_t)main();
    print_counts();
    put_text("exit ");
    put_hex(code);
    put_text("\n");
    leave(code);
}

void fault(void)
{
    put_text("fault\n");
    leave(99u);
}

typedef void (*handler)(void);
__attribute__((section(".start"), used)) const handler exceptions[16] = {
    (handler)(uintptr_t)stack_top, reset, fault, fault, fault, fault, fault, fault,
    fault, fault, fault, fault, fault, fault, fault, fault,
};
