/* Is a file the model library that was written? Asked before the dynamic linker maps it: a file that was cut short
 * would kill the process later, at the first touch of what is not there (SIGBUS), and a flipped bit would go unnoticed.
 *
 * `surrogate export` ends a library with a seal: a magic word, the length of what is before it, and two sums over that.
 * A library without one, made by hand or stripped, is looked at as far as its ELF header goes. A seal tells damage; it
 * is no signature, and whoever writes a model library can run code in its host. */
#include "library.h"
#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __ELF__
#include <link.h>
#endif

static const char MAGIC[16] = "surrogate seal 1";

typedef struct seal {
    char magic[16];
    uint64_t length, sum[2];
} seal;

/* All n bytes at an offset, or 0. */
static int read_at(int file, void *to, size_t n, int64_t offset)
{
    char *out = to;
    while (n > 0) {
        const ssize_t got = pread(file, out, n, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return 0;
        out += got, offset += got, n -= (size_t)got;
    }
    return 1;
}

/* Adds 32-bit words, and after each the sum so far: any change of one word shows, and any two words that change places.
 */
static void add(uint64_t sum[2], const uint32_t *words, size_t n)
{
    uint64_t a = sum[0], b = sum[1];
    size_t i = 0;
    for (; i + 4 <= n; i += 4) { /* four words at once, as if one after the other */
        const uint64_t w = words[i], x = words[i + 1], y = words[i + 2], z = words[i + 3];
        b += 4 * (a + w) + 3 * x + 2 * y + z;
        a += w + x + y + z;
    }
    for (; i < n; i++) b += a += words[i];
    sum[0] = a, sum[1] = b;
}

/* Sums over the first `length` bytes, the last word filled up with zeros; the same in training/files.py. */
static int add_up(int file, int64_t length, uint64_t sum[2])
{
    enum { PIECE = 1 << 16 };
    uint32_t *words = malloc(PIECE);
    int good = words != NULL;
    sum[0] = sum[1] = 0;
    for (int64_t at = 0; good && at < length; at += PIECE) {
        const size_t n = length - at < PIECE ? (size_t)(length - at) : PIECE;
        memset((char *)words + n / 4 * 4, 0, n % 4 ? 4 : 0);
        good = read_at(file, words, n, at);
        add(sum, words, (n + 3) / 4);
    }
    free(words);
    return good;
}

#ifdef __ELF__
static int fits(uint64_t offset, uint64_t n, int64_t size)
{
    return offset <= (uint64_t)size && n <= (uint64_t)size - offset;
}

/* NULL if all that the headers speak of is within the file; what the linker tells better is left to it. */
static const char *elf_flaw(int file, int64_t size)
{
    ElfW(Ehdr) head;
    ElfW(Phdr) segment;
    if (!read_at(file, &head, sizeof head, 0)) return "it is shorter than an ELF header";
    if (head.e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) || head.e_type != ET_DYN) return NULL;
    if (!fits(head.e_shoff, (uint64_t)head.e_shnum * head.e_shentsize, size)) return "its section headers are cut off";
    if (head.e_phentsize != sizeof segment) return "its program headers have another size";
    for (unsigned i = 0; i < head.e_phnum; i++) {
        if (!fits(head.e_phoff + (uint64_t)i * sizeof segment, sizeof segment, size) ||
            !read_at(file, &segment, sizeof segment, (int64_t)(head.e_phoff + (uint64_t)i * sizeof segment)))
            return "its program headers are cut off";
        if (!fits(segment.p_offset, segment.p_filesz, size) &&
            (segment.p_type == PT_LOAD || segment.p_type == PT_DYNAMIC))
            return "a segment is cut off";
    }
    return NULL;
}
#endif

static int32_t check_seal(int file, int64_t size, const char *path, uint64_t digest[2])
{
    seal s;
    const int64_t length = size - (int64_t)sizeof s;
    const int sealed = length > 0 && read_at(file, &s, sizeof s, length) && memcmp(s.magic, MAGIC, sizeof MAGIC) == 0;
    if (!add_up(file, sealed ? length : size, digest)) return surr_fail(SURR_E_IO, "%s cannot be read", path);
    if (sealed && (s.length != (uint64_t)length || s.sum[0] != digest[0] || s.sum[1] != digest[1]))
        return surr_fail(SURR_E_CHECKSUM,
                         "%s is damaged: its content is not what `surrogate export` wrote. Copy it or export it again",
                         path);
    return SURR_OK;
}

static int32_t check_file(int file, const char *path, uint64_t digest[2])
{
    struct stat about;
    unsigned char start[8] = {0};
    if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode))
        return surr_fail(SURR_E_IO, "%s is no file: give the path of a model library", path);
    const int64_t size = (int64_t)about.st_size;
    (void)read_at(file, start, size < 8 ? (size_t)size : 8, 0);
    if (memcmp(start, "\x89HDF\r\n\x1a\n", 8) == 0)
        return surr_fail(SURR_E_FORMAT,
                         "%s is no model library but an HDF5 file. If it is a trained model, make its library: "
                         "`surrogate export %s --to DIR`",
                         path, path);
#ifdef __ELF__
    const char *flaw = memcmp(start, ELFMAG, SELFMAG) == 0 ? elf_flaw(file, size) : "it is no shared library";
    if (flaw) return surr_fail(SURR_E_FORMAT, "%s is not a loadable library: %s", path, flaw);
#endif
    return check_seal(file, size, path, digest);
}

int32_t library_check(const char *path, uint64_t digest[2])
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return surr_fail(SURR_E_IO,
                         "no readable file %s: give the path of a model library, or a model's name without '/'", path);
    const int32_t code = check_file(file, path, digest);
    close(file);
    return code;
}
