namespace MicroVm.Generators.Tests;

/// <summary>One mistake each; '@' marks where it is reported, and is not part of the text.</summary>
internal static class DiagnosticCases
{
    private static string Block(string rows, string header = "size 0x100", string rule = "4") => $"# Sample\nblock Sample {header}\n  access {rule}\n{rows}";

    private static string Saved(string rows, string rule = "4") => Block(rows, "size 0x100  snapshot \"sample\" 1", rule);

    public static readonly (string Id, string Text, string Message)[] All =
    [
        ("MVG001", Saved("  0x0 Alpha u32 rw # a\n  @0x0 Beta u32 rw # b\n"), "'Beta' overlaps 'Alpha' at 0x0"),
        ("MVG001", Saved("  0x0 Alpha u32 rw # a\n  @0x2 Beta u16 rw # b\n", "natural"), "'Beta' overlaps 'Alpha' at 0x2"),
        ("MVG001", Saved("  0x0 Alpha[4 stride 8] u32 rw # a\n  @0x10 Beta u32 rw # b\n"), "'Beta' overlaps 'Alpha' at 0x10"),
        ("MVG001", Saved("  0x0 Sel u32 rw # a\n  0x4 Data indexed by Sel of u32 # d\n    1 One rw # x\n    @1 Two rw # y\n"), "'Two' overlaps 'One' at 0x1"),
        ("MVG001", "struct Packet size 8\n  0x0 A u32 # a\n  @0x0 B u16 # b\n", "'B' overlaps 'A' at 0x0"),
        ("MVG002", Saved("  @0x100 Alpha u32 rw # a\n"), "'Alpha' ends at 0x104, outside 'Sample' of 256 bytes"),
        ("MVG002", "struct Packet size 4\n  @0x4 A u8[4] # a\n", "'A' ends at 0x8"),
        ("MVG003", Saved("  @0x2 Alpha u32 rw # a\n"), "'Alpha' at 0x2 is not aligned to 4 bytes; move it to 0x0"),
        ("MVG003", Saved("  @0x0 Alpha[2 stride 6] u32 rw # a\n"), "'Alpha[1]' at 0x6"),
        ("MVG004", Saved("  0x0 Alpha u32 rw # a\n    0:3 Low  3 @High\n"), "field 'High' of 'Alpha' overlaps 'Low' at bit 3"),
        ("MVG004", Saved("  0x0 Alpha u32 rw # a\n    32 @High\n"), "ends at bit 32, outside its 32 bits"),
        ("MVG004", "flags Sample u8\n  @8 Ninth # a\n", "is bit 8, outside its 8 bits"),
        ("MVG005", Saved("  0x0 Alpha u32 rw = @0x11 # a\n    0:3 Low\n"), "'Alpha' resets to 0x11, whose bits 0x10 belong to no field"),
        ("MVG006", Saved("  0x0 Alpha u32 rw # a\n  0x4 @Alpha u32 rw # b\n"), "already taken by a register in line 4"),
        ("MVG006", Saved("  0x0 Alpha u32 rw then @Read # a\n"), "already taken by a member that every block has"),
        ("MVG006", Saved("  0x0 A u32 rw then Changed # a\n  0x4 B u64 rw then @Changed # b\n", "natural").Replace("0x4 B", "0x8 B", StringComparison.Ordinal), "a hook 'void Changed(uint value)'"),
        ("MVG006", "flags Sample u8\n  0 A # a\nenum @Sample u8\n  0 A # a\n", "in devices.def/test.def(1)"),
        ("MVG007", Saved("  0x0 Alpha u32 rw when @Enabeld # a\n  0x4 Beta u32 rw # b\n    0 Enabled\n"), "there is no bit field 'Enabeld'; did you mean 'Enabled'?"),
        ("MVG007", Saved("  bank Queue[@QueueSell]\n  0x0 QueueSel u32 rw # a\n"), "there is no register 'QueueSell'; did you mean 'QueueSel'?"),
        ("MVG007", Saved("  0x0 Alpha u32 rw into @Queue.Size # a\n"), "there is no bank 'Queue'"),
        ("MVG007", "machine Map\n  place com1 @Uart pio 0x3f8 # a\n", "there is no block 'Uart'"),
        ("MVG008", Saved("  0x0 Alpha u32 rw when On and not @On # a\n  0x4 Beta u32 rw # b\n    0 On\n"), "it wants 'On' both set and clear"),
        ("MVG009", Saved("  0x0 Alpha u32 rw # a\n  0x4 Ack u32 w1c @Alpha # b\n"), "'Ack' clears bits of 'Alpha', which is not 'atomic'"),
        ("MVG010", Saved("  0x0 Alpha u64 rw @halves 0x0 0x8 # a\n"), "at 0x0 and 0x8 are not adjacent; the high half belongs at 0x4"),
        ("MVG010", Saved("  0x0 Alpha u32 rw @halves 0x0 0x4 # a\n"), "need a u64"),
        ("MVG011", Block("  0x0 Alpha u32 ro = 1 # a\n  @0x0 Raw window 0x80 # b\n"), "window 'Raw' hides 'Alpha' at 0x0"),
        ("MVG012", Saved("  0x0 Alpha u64 rw halves 0x0 0x4 @doorbell # a\n"), "it is written in two accesses"),
        ("MVG013", "block A size 8\n  access 1\n  0x0 X u8 ro # x\nmachine Map\n  place one A pio 0x10 # a\n  place two A pio @0x17 # b\n", "'Two' at 0x17 overlaps 'One' at 0x10"),
        ("MVG013", "block A size 8\n  access 1\n  0x0 X u8 ro # x\nmachine Map\n  range Low 0 0x1000 ram # a\n  place one A mmio @0x10 # b\n", "'One' at 0x10 overlaps 'Low' at 0x0"),
        ("MVG013", "block A size 8\n  access 1\n  0x0 X u8 ro # x\nmachine Map\n  place one[2] A mmio @0x10 stride 4 # b\n".Replace("stride 4 #", "stride 4 irqs 1..2 #", StringComparison.Ordinal), "'One[1]' at 0x14 overlaps 'One[0]' at 0x10"),
        ("MVG014", "block A size 8\n  access 1\n  0x0 X u8 ro # x\nmachine Map\n  place one A pio 0 irq 3 # a\n  place two[2] A pio 8 stride 8 irqs @2..3 # b\n", "interrupt line 3 of 'Two' is already taken by 'One'"),
        ("MVG015", Saved("  0x0 @Alpha u32 rw\n"), "'Alpha' has no documentation"),
        ("MVG016", Saved("  0x0 @Alpha u32 rw then A via B # a\n"), "'then and via' does not fit 'Alpha'"),
        ("MVG016", Block("  0x0 @Alpha u32 ro then A # a\n"), "the guest cannot write it"),
        ("MVG016", Saved("  0x0 @Alpha u8 ro atomic # a\n", "1"), "atomic bits need 32 or 64 bits"),
        ("MVG017", Saved("  0x0 Alpha u32 rw when @Speed # a\n  0x4 Beta u32 rw # b\n    0:1 Speed\n"), "it is 2 bits wide"),
        ("MVG017", Saved("  0x0 Alpha u32 rw when @On # a\n  0x4 Beta u32 rw # b\n    0 On\n  0x8 Gamma u32 rw # c\n    0 On\n"), "'Beta' and 'Gamma' both have such a field; write 'Beta.On'"),
        ("MVG017", Saved("  0x0 Alpha u32 rw when @On # a\n  0x4 Beta u32 ro take F # b\n    0 On\n"), "'Beta' keeps no value of its own"),
        ("MVG018", Saved("  0x0 Alpha u8 rw = @0x100 # a\n", "1"), "the reset value of 'Alpha' is 0x100, more than 8 bits hold"),
        ("MVG018", Saved("  0x0 Alpha u8 rw mask @0x1ff # a\n", "1"), "the mask of 'Alpha' is 0x1ff"),
        ("MVG018", "enum Sample u8\n  @256 Big # a\n", "'Big' of 'Sample' is 0x100"),
        ("MVG019", Block("  0x0 @Alpha u32 rw # a\n"), "'Alpha' stores a value, but block 'Sample' has no 'snapshot' clause"),
        ("MVG020", Block("  0x0 Alpha u32 ro @frmo F # a\n"), "expected =, mask, from"),
        ("MVG020", Block("  0x0 Alpha @u33 ro # a\n"), "expected u8, u16, u32, u64, 'indexed by' or 'window', found 'u33'"),
        ("MVG020", Block("   @0x0 Alpha u32 ro # a\n"), "expected an indentation of two spaces a level"),
        ("MVG020", Block("  0x0 Alpha u32 ro = @0xg # a\n"), "expected a number of at most 64 bits"),
        ("MVG020", "block @sample size 8\n", "expected the block's name that starts with a capital, found 'sample'"),
        ("MVG020", "block Sample size 8 snapshot @\"open\n  access 4\n", "expected a closing '\"'"),
        ("MVG020", "@blok Sample size 8\n", "expected block, struct, flags, enum, consts, device or machine"),
        ("MVG021", Saved("  @0x0 Alpha u64 rw # a\n"), "'Alpha' is 8 bytes wide, but block 'Sample' says 'access 4'; add 'halves 0x0 0x4'"),
        ("MVG022", Block("  0x0 Alpha u32 ro take F @resident # a\n"), "reading it has an effect"),
        ("MVG022", Block("  0x0 Alpha u32 ro = 1 @resident # a\n  0x0 Beta u32 wo then F # b\n"), "another register shares its offset"),
        ("MVG022", Block("  0x0 Alpha u32 ro = 1 resident # a\n") + "machine Map\n  place one @Sample pio 0 # a\n", "a port has no page"),
    ];
}
