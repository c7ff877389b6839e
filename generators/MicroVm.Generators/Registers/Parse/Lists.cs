using MicroVm.Generators.Common;

namespace MicroVm.Generators.Registers.Parse;

internal static class Lists
{
    public static EquatableArray<T> ToEquatable<T>(this IEnumerable<T> items) where T : IEquatable<T> => new([.. items]);
}
