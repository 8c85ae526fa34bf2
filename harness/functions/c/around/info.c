/* What is printed of all blocks. @readonly: the block that the guest only reads; or -1 */
void pcram_format(bool links, int readonly)
{
    the_links = links;
    for (int i = 0; i < used; i++) {
        the_regions[i].readonly = i == readonly;
    }
    g_string_new("");
#ifdef PCRAM_DUMPS
    ram_block_dump(&the_text);
#else
    ram_block_format();
#endif
    say("%s", the_text.text);
}
