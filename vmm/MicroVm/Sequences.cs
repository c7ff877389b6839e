using System.Collections;

namespace MicroVm;

/// <summary>The few operations on sequences that this program uses, by the names of System.Linq, which makes six kinds of iterator for each type: a tenth of a megabyte (docs/decisions/0004). Not for what runs between two entries of the guest.</summary>
internal static class Sequences
{
    internal static IEnumerable<TResult> Select<T, TResult>(this IEnumerable<T> source, Func<T, TResult> make)
    {
        foreach (T item in source) yield return make(item);
    }

    internal static IEnumerable<TResult> Select<T, TResult>(this IEnumerable<T> source, Func<T, int, TResult> make)
    {
        int index = 0;
        foreach (T item in source) yield return make(item, index++);
    }

    internal static IEnumerable<TResult> SelectMany<T, TResult>(this IEnumerable<T> source, Func<T, IEnumerable<TResult>> make)
    {
        foreach (T item in source)
        {
            foreach (TResult result in make(item)) yield return result;
        }
    }

    internal static IEnumerable<T> Where<T>(this IEnumerable<T> source, Func<T, bool> wanted)
    {
        foreach (T item in source)
        {
            if (wanted(item)) yield return item;
        }
    }

    internal static IEnumerable<T> OfType<T>(this IEnumerable source)
    {
        foreach (object? item in source)
        {
            if (item is T wanted) yield return wanted;
        }
    }

    internal static IEnumerable<T> Concat<T>(this IEnumerable<T> source, IEnumerable<T> more)
    {
        foreach (T item in source) yield return item;
        foreach (T item in more) yield return item;
    }

    internal static IEnumerable<T> Skip<T>(this IEnumerable<T> source, int count)
    {
        foreach (T item in source)
        {
            if (count-- <= 0) yield return item;
        }
    }

    internal static IEnumerable<T> Take<T>(this IEnumerable<T> source, int count)
    {
        foreach (T item in source)
        {
            if (count-- <= 0) yield break;
            yield return item;
        }
    }

    internal static IEnumerable<T> Distinct<T>(this IEnumerable<T> source)
    {
        List<T> seen = [];
        foreach (T item in source)
        {
            if (seen.Contains(item)) continue;
            seen.Add(item);
            yield return item;
        }
    }

    /// <summary>In the order of the keys; those with one key as they stood.</summary>
    internal static IEnumerable<T> OrderBy<T>(this IEnumerable<T> source, Func<T, ulong> key)
    {
        List<T> sorted = [];
        foreach (T item in source)
        {
            int at = sorted.Count;
            while (at > 0 && key(sorted[at - 1]) > key(item)) at--;
            sorted.Insert(at, item);
        }
        return sorted;
    }

    internal static IEnumerable<T> Reversed<T>(this IReadOnlyList<T> source)
    {
        for (int i = source.Count - 1; i >= 0; i--) yield return source[i];
    }

    internal static bool Any<T>(this IEnumerable<T> source)
    {
        foreach (T _ in source) return true;
        return false;
    }

    internal static bool Any<T>(this IEnumerable<T> source, Func<T, bool> wanted)
    {
        foreach (T item in source)
        {
            if (wanted(item)) return true;
        }
        return false;
    }

    internal static bool All<T>(this IEnumerable<T> source, Func<T, bool> wanted)
    {
        foreach (T item in source)
        {
            if (!wanted(item)) return false;
        }
        return true;
    }

    internal static bool Contains<T>(this IEnumerable<T> source, T wanted)
    {
        foreach (T item in source)
        {
            if (EqualityComparer<T>.Default.Equals(item, wanted)) return true;
        }
        return false;
    }

    internal static T? FirstOrDefault<T>(this IEnumerable<T> source, Func<T, bool> wanted)
    {
        foreach (T item in source)
        {
            if (wanted(item)) return item;
        }
        return default;
    }

    internal static int Count<T>(this IEnumerable<T> source)
    {
        int count = 0;
        foreach (T _ in source) count++;
        return count;
    }

    internal static int Count<T>(this IEnumerable<T> source, Func<T, bool> wanted)
    {
        int count = 0;
        foreach (T item in source)
        {
            if (wanted(item)) count++;
        }
        return count;
    }

    /// <summary>The largest, 0 of none.</summary>
    internal static int Max<T>(this IEnumerable<T> source, Func<T, int> of)
    {
        int max = 0;
        foreach (T item in source) max = Math.Max(max, of(item));
        return max;
    }

    internal static long Sum<T>(this IEnumerable<T> source, Func<T, long> of)
    {
        long sum = 0;
        foreach (T item in source) sum += of(item);
        return sum;
    }
}
