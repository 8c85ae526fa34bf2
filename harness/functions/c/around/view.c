/* The variables of what stands above, line by line as the mirror says its own */

static void say_bits(const char *what, const unsigned long *bits, const RAMBlock *block)
{
    char text[17 * 8] = " none";

    for (int i = 0; bits && i < BITS_TO_LONGS(block->max_length >> TARGET_PAGE_BITS); i++) {
        sprintf(text + 17 * i, " %016lx", bits[i]);
    }
    say("  %s%s", what, text);
}

static int index_of(const RAMBlock *block)
{
    return block ? block - the_blocks : -1;
}

#ifdef PCRAM_PACKETS_USED
#define NOWHERE UINT64_MAX
#else
#define NOWHERE 0
#endif

static void say_pages(const char *what, uint64_t (*at)(int))
{
    for (int i = 0; i < PACKET_PAGES; i++) {
        if (at(i) != NOWHERE) {
            say("  %s %d %" PRIx64, what, i, at(i));
        }
    }
}

static uint64_t normal_at(int i)
{
#ifdef PCRAM_PACKETS_USED
    uint8_t *base = the_receiver.pages->iov[i].iov_base;

    return base ? base - memory : NOWHERE;
#else
    return the_receiver.normal[i];
#endif
}

#ifdef PCRAM_PACKETS_ZERO
static uint64_t zero_at(int i)
{
    return the_receiver.zero[i];
}
#endif

void pcram_view(void)
{
    for (int i = 0; i < used; i++) {
        RAMBlock *block = &the_blocks[i];

        say("block %d: %" PRIx64, i, block->used_length);
        say_bits("dirty", block->bmap, block);
        say_bits("received", block->receivedmap, block);
#ifdef PCRAM_MAPPED_RAM
        say_bits("in the file", block->file_bmap, block);
        say("  bitmap at %" PRIx64 ", pages at %" PRIx64, (uint64_t)block->bitmap_offset,
            block->pages_offset);
#endif
    }
    say("%" PRIu64 " dirty, %" PRIu64 " transferred", the_ram_state.migration_dirty_pages,
        transferred);
#ifndef PCRAM_KEEPS_REFUSED
    say("last %d", index_of(the_incoming.last_recv_block[RAM_CHANNEL_PRECOPY]));
#endif
    say("section %u %s %u", savevm_state.len, savevm_state.name ? savevm_state.name : "(none)",
        savevm_state.target_page_bits);
    for (uint32_t i = 0; i < savevm_state.caps_count; i++) {
        say("capability %s", MigrationCapability_str(savevm_state.capabilities[i]));
    }
#ifdef PCRAM_EXTERNAL
    for (uint32_t i = 0; i < savevm_state.external_ram_count; i++) {
        char name[257] = "";

        memcpy(name, savevm_state.external_ram[i].idstr, 256);
        say("external %s", name);
    }
#endif
    say("packet %" PRIu64 ": %x %u", the_receiver.packet_num, the_receiver.flags,
        the_receiver.next_packet_size);
#ifdef PCRAM_PACKETS_USED
    say("  %u of %u", the_receiver.pages->used, the_receiver.pages->allocated);
#else
    ram_addr_t offset;

    say("  %u, at %d", the_receiver.normal_num,
        the_receiver.host ? index_of(block_of_host(the_receiver.host, &offset)) : -1);
#endif
    say_pages("normal", normal_at);
#ifdef PCRAM_PACKETS_ZERO
    say("  %u zero, of %d", the_receiver.zero_num, index_of(the_receiver.block));
    say_pages("zero", zero_at);
#endif
#ifdef PCRAM_QUEUED
    MultiFDPages_t *pages = multifd_send_state->pages;

    say("queue %d: %u", index_of(pages->block), (unsigned)pages->PCRAM_QUEUED);
#endif
}
